// The keys by which phoenix reaches the database and the files. Sites that are older than such keys give it those of
// the administrators, until `setup.ts --upgrade` makes it some of its own.
// Long, since a key is made, tried and given to the app here, and taken back when that fails.
import { appRoleTrouble, giveToApp, makeAppRole } from '../postgres/app_role.ts'
import { connectMinio } from '../s3/minio.ts'
import { docker } from '../docker/commands.ts'
import { loadSettings, type Settings } from '../system/settings.ts'
import { takeDeployLock } from '../deploy/deploy_lock.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { type Finding, findingOf, good, unknown, warning } from './findings.ts'
import { listInstances } from '../docker/containers.ts'
import { changeSettings, type Lines } from '../system/env_file.ts'
import { newSecret } from './make_settings.ts'
import { findServer, loginsOf, openSessions } from '../postgres/server.ts'
import { capture } from '../system/run.ts'

/**
 * What is of the old kind, or not as .env says: `about` is "database" or "files", and `mend` says what is done about
 * it.
 */
interface Keys {
  about: 'database' | 'files'
  look: (settings: Settings) => Promise<Finding[]>
  /** what a site without such keys is told, and what --upgrade does about it */
  former: (settings: Settings) => { text: string; mend: string } | undefined
  /** Makes the keys of these settings, with the site up. */
  make: (settings: Settings) => Promise<void>
  /** the settings of a site that has none yet */
  added: (settings: Settings) => Lines
}

const database: Keys = {
  about: 'database',
  former: ({ POSTGRES_USER, POSTGRES_APP_USER }) =>
    POSTGRES_APP_USER
      ? undefined
      : {
          text:
            `phoenix logs in to the database as ${POSTGRES_USER}, a superuser: whoever breaks into the app can run ` +
            `programs in the database's container`,
          mend: 'making a role of its own for phoenix, which owns the database',
        },
  added: ({ POSTGRES_USER }) => ({
    POSTGRES_APP_USER: `${POSTGRES_USER.slice(0, 59)}_app`,
    POSTGRES_APP_PASSWORD: newSecret(),
  }),
  look: async settings => {
    const server = await openSessions(await findServer(settings.COMPOSE_PROJECT_NAME, settings))
    const trouble = await appRoleTrouble(server)
    const about = { about: 'database', mend: `making the role ${server.app}, and giving it the database` }
    return [
      trouble === undefined
        ? good(`phoenix logs in to the database as ${server.app}, who is not a superuser and owns ${server.database}`)
        : warning(trouble, undefined, about),
    ]
  },
  make: async settings => {
    const { POSTGRES_APP_PASSWORD: password } = settings
    if (password === undefined)
      throw badConfig(
        'POSTGRES_APP_PASSWORD is missing in .env, and POSTGRES_APP_USER needs a password',
        'set it there',
      )
    const server = await openSessions({
      ...(await findServer(settings.COMPOSE_PROJECT_NAME, settings)),
      ...loginsOf(settings),
    })
    await makeAppRole(server, password)
    await giveToApp(server, server.database)
  },
}

const files: Keys = {
  about: 'files',
  former: ({ MINIO_ROOT_USER }) =>
    MINIO_ROOT_USER
      ? undefined
      : {
          text: "phoenix has the administrator's key of minio: whoever breaks into the app can do anything there",
          mend: 'making a key for phoenix, to the one bucket',
        },
  // What minio runs with stays as it is, so that it need not be restarted.
  added: ({ AWS_ACCESS_KEY_ID: user, AWS_SECRET_ACCESS_KEY: password }) => ({
    MINIO_ROOT_USER: user,
    MINIO_ROOT_PASSWORD: password,
    AWS_ACCESS_KEY_ID: `${user.slice(0, 124)}_app`,
    AWS_SECRET_ACCESS_KEY: newSecret(),
  }),
  look: async settings => {
    const { s3, client, bucket, withContext, dispose } = await connectMinio(settings.COMPOSE_PROJECT_NAME, settings)
    try {
      await withContext('asking for the bucket', () => client.send(new s3.HeadBucketCommand({ Bucket: bucket })))
      return [good(`the key of phoenix is for the bucket ${bucket} alone`)]
    } catch (error) {
      if (!(error instanceof Failure) || error.exitCode !== EXIT.config) throw error
      return [
        warning(`minio refuses the key of phoenix (${settings.AWS_ACCESS_KEY_ID})`, undefined, {
          about: 'files',
          mend: `making the key ${settings.AWS_ACCESS_KEY_ID}`,
        }),
      ]
    } finally {
      dispose()
    }
  },
  make: async ({ COMPOSE_PROJECT_NAME: project, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }) => {
    const minio = (await listInstances(project, 'minio')).find(({ running, oneOff }) => running && !oneOff)
    if (!minio)
      throw new Failure('minio is not running', { exitCode: EXIT.unreachable, hint: 'docker compose up -d minio' })
    const env = { BUCKET_KEY: AWS_ACCESS_KEY_ID, BUCKET_SECRET: AWS_SECRET_ACCESS_KEY }
    const words = Object.keys(env).flatMap(name => ['--env', name])
    const hint =
      'has the container the administrator of .env (MINIO_ROOT_USER)? docker compose up -d minio makes it take up ' +
      'what has changed there'
    await capture(docker('exec', ...words, minio.id, 'sh', '/etc/minio/bucket_key.sh'), {
      env,
      what: 'making the key',
      hint,
    })
  },
}

const KINDS = [database, files]

const lookAt = async ({ about, former, look }: Keys, settings: Settings, upgrade: boolean): Promise<Finding[]> => {
  const found = former(settings)
  if (found)
    return [
      warning(
        found.text,
        'tsx scripts/setup.ts --upgrade changes that while the site is up',
        upgrade ? { about, mend: found.mend } : {},
      ),
    ]
  try {
    return await look(settings)
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT.unreachable) return [unknown(error.message)]
    return [findingOf(error)]
  }
}

/** What is to be said of the keys of the app. `upgrade`: what is of the old kind can be mended. */
export async function keyFindings(upgrade: boolean) {
  const settings = loadSettings()
  return (await Promise.all(KINDS.map(kind => lookAt(kind, settings, upgrade)))).flat()
}

/**
 * Makes the keys that a finding is about; those that .env lacks are written there, once they are good. Neither a deploy
 * nor a restore is at work meanwhile.
 */
export async function makeKeys({ about }: Finding) {
  const lock = await takeDeployLock(true)
  try {
    const settings = loadSettings()
    for (const { former, added, make } of KINDS.filter(kind => kind.about === about)) {
      const more = former(settings) ? added(settings) : {}
      await make({ ...settings, ...more })
      changeSettings(more)
    }
  } finally {
    await lock.dispose()
  }
}
