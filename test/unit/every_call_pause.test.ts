// Apart from every_call.test.ts, so that both run at once.
import { testEveryCall } from '../helpers/every_call.ts'

await testEveryCall('--pause')
