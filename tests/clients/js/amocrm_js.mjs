// amocrm-js, unmodified: lists, pages, writes, notes, tasks, events and hooks by its factories and its request.
import amocrm from 'amocrm-js'
import { done, failure, given } from './steps.mjs'

const { Client } = amocrm
console.error = () => {} // it prints every error body

const client = new Client({
  domain: given.host,
  auth: {
    client_id: given.client_id,
    client_secret: given.client_secret,
    redirect_uri: given.redirect_uri,
    bearer: given.token,
  },
})
const found = {}

const account = await client.request.get('/api/v4/account', { with: 'amojo_id,task_types' })
found.account = account.data.id
found.task_types = account.data._embedded.task_types.length
const pipelines = await client.request.get('/api/v4/leads/pipelines')
found.pipelines = pipelines.data._embedded.pipelines.map((pipeline) => pipeline.id)
found.statuses = pipelines.data._embedded.pipelines[0]._embedded.statuses.map((status) => status.id)

// Pages: `next` is followed as the answer gives it.
const pages = await client.leads.get({ limit: 250, order: { id: 'asc' } })
const ids = pages.getData().map((lead) => lead.id)
while (pages.hasNext()) {
  await pages.next()
  ids.push(...pages.getData().map((lead) => lead.id))
}
found.leads = ids
const some = await client.leads.get({ filter: { pipeline_id: [given.pipeline_id], id: [given.deal_id] } })
found.filtered = some.getData().map((lead) => lead.id)
const none = await client.leads.get({ filter: { id: [999999999] } })
found.empty = none.getData().length

await client.request.post('/api/v4/webhooks', {
  destination: given.hook_url,
  settings: ['add_lead', 'status_lead', 'update_lead', 'add_task', 'note_lead'],
})

const lead = new client.Lead({ name: 'Мебель', price: 40000 })
await lead.save()
lead.price = 45000
lead.status_id = 142
await lead.save()
const again = await client.leads.getById(lead.id)
found.lead = { id: again.id, name: again.name, price: again.price, status_id: again.status_id }
const contact = new client.Contact({ name: 'Светлана' })
await contact.save()
await client.request.post(`/api/v4/leads/${lead.id}/link`, [
  { to_entity_id: contact.id, to_entity_type: 'contacts', metadata: { is_main: true } },
])
const links = await client.request.get(`/api/v4/leads/${lead.id}/links`)
found.links = links.data._embedded.links.map((link) => [link.to_entity_id === contact.id, link.metadata])

const batch = await client.leads.create([{ name: 'Первая' }, { name: 'Вторая' }, { name: 'Третья' }])
found.batch = new Set(batch.map((one) => one.id)).size
const notes = await client.request.post(`/api/v4/leads/${lead.id}/notes`, [
  { note_type: 'common', params: { text: 'Замер в среду' } },
])
found.note = notes.data._embedded.notes[0].entity_id === lead.id
const due = Math.floor(Date.now() / 1000) + 3600
const task = new client.Task({ text: 'Замер', complete_till: due, entity_id: lead.id, entity_type: 'leads' })
await task.save()
found.task = (await client.tasks.getById(task.id)).text
const events = await client.request.get('/api/v4/events', {
  filter: { entity: ['lead'], entity_id: [lead.id], type: ['lead_status_changed'] },
})
found.event = events.data._embedded.events[0].value_after

const wrong = await failure(() => client.leads.create([{ name: 'Х', status_id: 5 }]))
found.wrong = wrong.data['validation-errors']
const missing = await client.request.get('/api/v4/leads/999999999')
found.missing = [missing.response.statusCode, missing.data]
const method = await failure(() => client.request.delete('/api/v4/leads', []))
found.method = method.data.status
done(found)
