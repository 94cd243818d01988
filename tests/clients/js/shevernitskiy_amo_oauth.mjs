// @shevernitskiy/amo under OAuth: a code, a rotation, a token that was used before.
import { Amo } from '@shevernitskiy/amo'
import { done, failure, given } from './steps.mjs'

const keys = { client_id: given.client_id, client_secret: given.client_secret, redirect_uri: given.redirect_uri }
const tokens = []
const options = { request_delay: 0, on_token: (token) => void tokens.push(token) }
const found = {}

const amo = new Amo(given.host, { ...keys, grant_type: 'authorization_code', code: given.code }, options)
found.account = (await amo.account.getAccount()).id
const over = new Amo(given.host, { ...keys, ...tokens[0], expires_at: 1 }, options)
found.renewed = (await over.account.getAccount()).id
found.rotated = tokens[0].refresh_token !== tokens[1].refresh_token
const spent = new Amo(given.host, { ...keys, ...tokens[0], expires_at: 1 }, options)
const error = await failure(() => spent.account.getAccount())
found.spent = error.response.hint

// Its queue spaces requests: it stays below 7 a second.
const slow = new Amo(given.host, { ...keys, ...tokens[1] }, { request_delay: 150 })
const answers = await Promise.all(Array.from({ length: 10 }, () => slow.account.getAccount()))
found.kept = answers.length
done(found)
