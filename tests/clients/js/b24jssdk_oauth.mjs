// @bitrix24/b24jssdk as an application: it renews an expired token by itself at the OAuth host it was told.
import { B24OAuth } from '@bitrix24/b24jssdk'
import { done, given } from './steps.mjs'

const b24 = new B24OAuth(
  {
    applicationToken: given.application_token,
    userId: 1,
    memberId: given.member_id,
    accessToken: given.oauth_token,
    refreshToken: given.refresh_token,
    expires: Math.floor(Date.now() / 1000) + 3600,
    expiresIn: 3600,
    scope: 'crm',
    domain: given.portal,
    clientEndpoint: `https://${given.portal}/rest/`,
    serverEndpoint: `https://${given.oauth_host}/rest/`,
    status: 'L'
  },
  { clientId: given.client_id, clientSecret: given.client_secret }
)
let renewed = null
b24.setCallbackRefreshAuth(async ({ b24OAuthParams }) => {
  renewed = { ...b24OAuthParams }
})
const answer = await b24.actions.v2.call.make({ method: 'event.bind', params: { event: 'ONCRMDEALADD', handler: given.hook_url } })
const made = await b24.actions.v2.call.make({ method: 'crm.deal.add', params: { fields: { TITLE: 'x' } } })
done({ bound: answer.getData().result, number: made.getData().result, renewed })
