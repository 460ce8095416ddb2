// Updates a service as the old scripts did: old_rollout.ts <folder of the stack> <project> <service>
import { oldProcedure, useServiceName } from '../load/old_procedure.ts'

const [, , folder = '', project = '', service = ''] = process.argv
const target = { folder, project, service }
await useServiceName(target)
await oldProcedure(target)
