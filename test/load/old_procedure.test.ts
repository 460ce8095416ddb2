import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { oldCommands, recreateCommand, reloadCommand } from './old_procedure.ts'

const target = { folder: '/srv/the stack', project: 'demo', service: 'phoenix' }
const words = (command: readonly string[]) => command.join(' ')

void test('the old procedure: two instances, health, reload, stop and remove the old one by its id', () => {
  deepEqual(
    Object.entries(oldCommands(target, 'abc')).map(([phase, commands]) => [phase, ...commands.map(words)]),
    [
      ['start', 'docker compose --project-name demo up -d --no-deps --no-recreate --scale phoenix=2 phoenix'],
      ['healthy', 'docker compose --project-name demo up -d --no-deps --no-recreate --scale phoenix=2 --wait phoenix'],
      ['reload', 'docker compose --project-name demo kill -s HUP nginx'],
      ['stop', 'docker stop abc'],
      [
        'tidy',
        'docker rm -f abc',
        'docker compose --project-name demo up -d --no-deps --no-recreate --scale phoenix=1 phoenix',
      ],
    ],
  )
})

void test('recreate replaces the one instance in place', () => {
  deepEqual(
    words(recreateCommand(target)),
    'docker compose --project-name demo up -d --force-recreate --no-deps --wait phoenix',
  )
  deepEqual(words(reloadCommand(target)), 'docker compose --project-name demo kill -s HUP nginx')
})
