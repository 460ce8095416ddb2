// How a container of postgres's image is run in which something is tried out: it reaches nobody, and has no rights.
import { ACCOUNT } from './server.ts'

/** The options of `docker run`. What an image does at its first start (it makes PostGIS's extensions) is not wanted. */
export const CONFINED = [
  '--network',
  'none',
  '--cap-drop',
  'ALL',
  '--security-opt',
  'no-new-privileges',
  '--pids-limit',
  '1024',
  '--shm-size',
  '256m',
  '--user',
  ACCOUNT,
  '--tmpfs',
  '/docker-entrypoint-initdb.d',
]
