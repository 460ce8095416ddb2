import { existsSync } from 'node:fs'

export const hasSystemd = () => existsSync('/run/systemd/system')
