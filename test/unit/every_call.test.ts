import { testEveryCall } from '../helpers/every_call.ts'

await testEveryCall()
