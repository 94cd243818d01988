// What the runner itself is tried with: the sandbox by its own address, or by a name over TLS.
const { url, token } = JSON.parse(process.env.CONNECTOR_TEST)
const answer = await fetch(`${url}/api/v4/account`, { headers: { Authorization: `Bearer ${token}` } })
console.log('lines before the last one are not the result')
console.log(JSON.stringify({ status: answer.status, account: await answer.json() }))
