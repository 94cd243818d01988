// @shevernitskiy/amo, unmodified: its typed methods over the whole of what a sales department does.
import { Amo } from '@shevernitskiy/amo'
import qs from 'qs'
import { done, failure, given } from './steps.mjs'

const auth = {
  client_id: given.client_id,
  client_secret: given.client_secret,
  redirect_uri: given.redirect_uri,
  token_type: 'Bearer',
  expires_in: 86400,
  access_token: given.token,
  refresh_token: 'none',
  expires_at: Date.now() + 3600_000,
}
const amo = new Amo(given.host, auth, { request_delay: 0 })
const found = {}

const account = await amo.account.getAccount({ with: ['drive_url', 'amojo_id', 'datetime_settings'] })
found.account = account.id
const pipelines = await amo.pipeline.getPipelines()
found.pipelines = pipelines._embedded.pipelines.map((pipeline) => pipeline.id)
const statuses = await amo.pipeline.getStatusesByPipelineId(given.pipeline_id)
found.statuses = statuses._embedded.statuses.map((status) => status.id)
found.users = (await amo.user.getUsers({ with: ['role', 'group'] }))._total_items

const ids = []
for (let page = 1; ; page++) {
  const answer = await amo.lead.getLeads({ page, limit: 250, order: { param: 'id', type: 'asc' }, with: ['contacts'] })
  ids.push(...answer._embedded.leads.map((lead) => lead.id))
  if (!answer._links.next) break
}
found.leads = ids
const won = await amo.lead.getLeads({ filter: (f) => f.statuses([[given.pipeline_id, 142]]).range('closed_at', 1, 2 ** 31) })
found.won = [...new Set(won._embedded.leads.map((lead) => lead.status_id))]
found.empty = (await failure(() => amo.lead.getLeads({ filter: (f) => f.multi('id', [999999999]) }))).message

const hook = await amo.webhook.addWebhook({
  destination: given.hook_url,
  settings: ['add_lead', 'status_lead', 'note_lead', 'add_contact', 'add_task'],
})
found.hook = [hook.disabled, hook.settings.length]

const made = await amo.lead.addLeads([{ name: 'Ворота', price: 80000 }, { name: 'Забор', request_id: 'z' }])
found.made = made._embedded.leads.map((lead) => lead.request_id)
const lead_id = made._embedded.leads[0].id
await amo.lead.updateLeadById(lead_id, { status_id: 142, tags_to_add: [{ name: 'дача' }] })
const lead = await amo.lead.getLeadById(lead_id)
found.lead = [lead.name, lead.price, lead.status_id, lead._embedded.tags.map((tag) => tag.name)]
const tree = await amo.lead.addComplex([{ name: 'Дерево', _embedded: { contacts: [{ first_name: 'Ян' }], companies: [{ name: 'ООО «Ян»' }] } }])
found.tree = tree.map((one) => [one.merged, one.contact_id > 0, one.company_id > 0])
const contacts = await amo.contact.addContacts([{ name: 'Роман' }])
const contact_id = contacts._embedded.contacts[0].id
await amo.link.addLinksByEntityId(lead_id, 'leads', [{ to_entity_id: contact_id, to_entity_type: 'contacts', metadata: { is_main: true } }])
const links = await amo.link.getLinksByEntityId(lead_id, 'leads')
found.links = links._embedded.links.map((link) => link.metadata)
const notes = await amo.note.addNotes('leads', [{ entity_id: lead_id, note_type: 'common', params: { text: 'Высота 2 м' } }])
found.note = notes._embedded.notes.length
const tasks = await amo.task.addTasks([{ text: 'Выезд', complete_till: Math.floor(Date.now() / 1000) + 60, entity_id: lead_id, entity_type: 'leads' }])
const task_id = tasks._embedded.tasks[0].id
await amo.task.updateTaskById(task_id, { is_completed: true, result: { text: 'Были' } })
found.task = (await amo.task.getTaskById(task_id)).result
const events = await amo.event.getEvents({ limit: 100, with: ['lead_name'], filter: (f) => f.single('entity', 'lead').multi('entity_id', [lead_id]) })
found.events = events._embedded.events.map((event) => event.type)
found.types = (await amo.event.getEventsTypes('ru'))._embedded.events_types.length
const fields = await amo.custom_fields.getCustomFields('leads')
found.fields = fields._embedded.custom_fields.length
found.tags = (await amo.tag.getTags('leads'))._embedded.tags.some((tag) => tag.name === 'дача')

const forms = await amo.unsorted.addUnsortedForm([{
  source_uid: 'a1', source_name: 'Сайт', created_at: Math.floor(Date.now() / 1000),
  metadata: { form_id: 'f', form_name: 'Заявка', form_page: 'https://example.com', ip: '127.0.0.1', form_sent_at: 1700000000, referer: 'https://example.com' },
  _embedded: { leads: [{ name: 'С сайта' }], contacts: [{ name: 'Гость' }] },
}])
const accepted = await amo.unsorted.acceptUnsortedByUid(forms._embedded.unsorted[0].uid)
found.accepted = accepted._embedded.leads.length
const session = await amo.file(account.drive_url).createSession({ file_name: 'план.txt', file_size: 6, content_type: 'text/plain' })
found.part = session.max_part_size

const wrong = await failure(() => amo.lead.addLeads([{ name: 'Х', status_id: 5 }]))
found.wrong = wrong.response['validation-errors'][0].errors[0].path
found.missing = (await failure(() => amo.lead.getLeadById(999999999))).message

// Hooks: what came to the door, decoded as a form parser does it, through its own handler.
const names = ['leads:add', 'leads:status', 'note:leads', 'contacts:add', 'task:add']
found.heard = {}
for (const name of names) amo.on(name, (payload) => (found.heard[name] ??= payload))
const handler = amo.webhookHandler()
const until = Date.now() + 20_000
for (;;) {
  const bodies = await (await fetch(given.caught_url)).json()
  for (const body of bodies) {
    const parsed = qs.parse(body, { depth: 20, arrayLimit: 1000 })
    await handler(new Request('http://localhost', { method: 'POST', body: JSON.stringify(parsed) }))
  }
  if (names.every((name) => found.heard[name]) || Date.now() > until) break
  await new Promise((resolve) => setTimeout(resolve, 100))
}

found.html = []
for (const status of [429, 403]) {
  await fetch(given.faults_url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ what: 'status', times: 1, status, crm: 'amocrm' }),
  })
  const error = await failure(() => amo.account.getAccount())
  found.html.push(error.message)
  await amo.account.getAccount()
}
done(found)
