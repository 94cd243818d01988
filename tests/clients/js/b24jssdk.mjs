// @bitrix24/b24jssdk over an inbound webhook: lists, batches, a deal's life.
import { B24Hook, EnumCrmEntityTypeId } from '@bitrix24/b24jssdk'
import { done, given } from './steps.mjs'

const b24 = B24Hook.fromWebhookUrl(given.webhook_url)
const v2 = b24.actions.v2
const call = async (method, params = {}) => {
  const answer = await v2.call.make({ method, params })
  if (!answer.isSuccess) throw new Error(answer.getErrorMessages().join('; '))
  return answer.getData().result
}

const categories = (await call('crm.category.list', { entityTypeId: 2 })).categories
const stages = await call('crm.status.list', { filter: { ENTITY_ID: 'DEAL_STAGE' } })
const listed = await v2.callList.make({
  method: 'crm.item.list',
  params: { entityTypeId: EnumCrmEntityTypeId.deal, select: ['id'] },
  idKey: 'id',
  customKeyForResult: 'items'
})
const fetched = []
for await (const chunk of v2.fetchList.make({ method: 'crm.deal.list', params: { select: ['ID'] }, idKey: 'ID' })) {
  fetched.push(...chunk)
}

const number = await call('crm.deal.add', { fields: { TITLE: 'из JavaScript' } })
await call('crm.deal.update', { id: number, fields: { OPPORTUNITY: 70 } })
await call('crm.timeline.comment.add', { fields: { ENTITY_ID: number, ENTITY_TYPE: 'deal', COMMENT: 'текст' } })
const task = (await call('tasks.task.add', { fields: { TITLE: 'т', RESPONSIBLE_ID: 1 } })).task

const mixed = await v2.batch.make({
  calls: {
    made: { method: 'crm.deal.add', params: { fields: { TITLE: 'a & b' } } },
    read: { method: 'crm.deal.get', params: { id: '$result[made]' } },
    // An error without a code, as the classic methods have it, counts as none with this client.
    lost: { method: 'crm.item.get', params: { entityTypeId: 2, id: 999999999 } }
  },
  options: { isHaltOnError: false, returnAjaxResult: true }
})
const fifty = await v2.batch.make({
  calls: Array.from({ length: 50 }, () => ['crm.deal.get', { id: number }]),
  options: { isHaltOnError: true, returnAjaxResult: false }
})

done({
  categories: categories.length,
  stages: stages.map((stage) => stage.STATUS_ID),
  listed: listed.getData().length,
  fetched: new Set(fetched.map((row) => row.ID)).size,
  number,
  task: task.id,
  title: mixed.getData().read.getData().result.TITLE,
  lost: [...mixed.getErrorMessages(), ...mixed.getData().lost.getErrorMessages()],
  fifty: fifty.getData().length
})
