import { existsSync } from 'node:fs'

export function hasSystemd() {
  return existsSync('/run/systemd/system')
}
