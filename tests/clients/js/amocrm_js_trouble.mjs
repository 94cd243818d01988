// amocrm-js under OAuth and limits: code, refresh, HTML instead of JSON.
import amocrm from 'amocrm-js'
import { done, failure, given } from './steps.mjs'

const { Client } = amocrm
console.error = () => {}
const auth = {
  client_id: given.client_id,
  client_secret: given.client_secret,
  redirect_uri: given.redirect_uri,
}
const found = {}

const client = new Client({ domain: given.host, auth: { ...auth, code: given.code } })
const account = await client.request.get('/api/v4/account')
found.account = account.data.id
const first = { ...client.token.getValue() }
client.token.setValue({ ...first, expires_at: 1 }) // over by its own clock: renewed before the call
await client.request.get('/api/v4/account')
const second = client.token.getValue()
found.rotated = first.refresh_token !== second.refresh_token && first.access_token !== second.access_token
client.token.setValue({ ...first, expires_at: 1 })
found.spent = (await failure(() => client.request.get('/api/v4/account'))).data.hint
const stranger = new Client({ domain: given.host, auth: { ...auth, code: 'x' } })
found.code = (await failure(() => stranger.request.get('/api/v4/account'))).data.hint

// It has no limiter: a burst meets the HTML of 429, and going on meets the block.
const eager = new Client({ domain: given.host, auth: { ...auth, bearer: given.token } })
const seen = []
for (let round = 0; round < 40 && !seen.includes(403); round++) {
  try {
    seen.push((await eager.request.get('/api/v4/account')).response.statusCode)
  } catch (error) {
    found.message = error.message
    seen.push(error.apiResponse.response.statusCode)
  }
}
found.seen = [...new Set(seen)]
done(found)
