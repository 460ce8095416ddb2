"""A filter that turns Swift's proxy into an S3 server with keys and with bucket policies.

It sits behind s3api, so it sees signed requests, whose signature s3api can check, and everything unsigned. The administrator's key is
MINIO_ROOT_USER with MINIO_ROOT_PASSWORD; `mc admin user add`, `info`, `policy create` and `attach` work, and make others. Of the unsigned requests the health paths are answered, and GET and HEAD of an object
that the bucket's policy opens: anonymous listing and writing are never possible.

s3api knows no bucket policy, so GET, PUT and DELETE ?policy are added here. Only "Allow * s3:GetObject" and "Deny" statements
without a condition have an effect.
"""
import fcntl
import json
import os
import struct
from fnmatch import fnmatchcase
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from swift.common.middleware.s3api import s3request
from swift.common.middleware.s3api.acl_handlers import BaseAclHandler
from swift.common.middleware.s3api.controllers.base import Controller, bucket_operation
from swift.common.middleware.s3api.s3response import AccessDenied, ErrorResponse, HTTPNoContent, HTTPOk, SignatureDoesNotMatch
from swift.common.swob import HTTPUnauthorized
from swift.common.utils import public
from swift.proxy.controllers.base import get_container_info

ACCOUNT = 'AUTH_s3'
POLICY = 'X-Container-Sysmeta-S3api-Policy'
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>'


class NoSuchBucketPolicy(ErrorResponse):
    _status = '404 Not Found'
    _msg = 'The bucket policy does not exist'


class MalformedPolicy(ErrorResponse):
    _status = '400 Bad Request'
    _msg = 'Policy has invalid resource or syntax'


def as_list(value):
    return value if isinstance(value, list) else [value]


def concerns(statement, arn):
    who = statement.get('Principal')
    who = as_list(who.get('AWS') if isinstance(who, dict) else who)
    return ('*' in who
            and any(fnmatchcase('s3:GetObject', action) for action in as_list(statement.get('Action', [])))
            and any(fnmatchcase(arn, resource) for resource in as_list(statement.get('Resource', []))))


def may_read(policy, bucket, key):
    hits = [s for s in as_list(policy.get('Statement', [])) if concerns(s, f'arn:aws:s3:::{bucket}/{key}')]
    if any(s.get('Effect') == 'Deny' for s in hits):
        return False
    return any(s.get('Effect') == 'Allow' and not s.get('Condition') for s in hits)


class PolicyController(Controller):
    acl_handler = BaseAclHandler
    resource_type = 'POLICY'

    @public
    @bucket_operation
    def GET(self, req):
        document = unquote(req.get_response(self.app, 'HEAD').sysmeta_headers.get(POLICY) or '')
        if not document:
            raise NoSuchBucketPolicy()
        return HTTPOk(body=document.encode(), content_type='application/json')

    @public
    @bucket_operation
    def PUT(self, req):
        try:
            policy = json.loads(req.xml(10000))
            may_read(policy, '', '')
        except (ValueError, TypeError, AttributeError) as error:
            raise MalformedPolicy() from error
        return self.store(req, quote(json.dumps(policy, separators=(',', ':')), safe='{}[]":,*/ '))

    @public
    @bucket_operation
    def DELETE(self, req):
        return self.store(req, '')

    def store(self, req, value):
        req.headers[POLICY] = value
        req.get_response(self.app, 'POST')
        return HTTPNoContent()


ROOT = os.environ.get('MINIO_ROOT_USER', ''), os.environ.get('MINIO_ROOT_PASSWORD', '')


class Accounts:
    """The keys besides the administrator's, and what they may do: a file beside the objects."""

    def __init__(self):
        self.file = os.path.join(os.environ['S3_DISK'], 'accounts.json')

    def read(self):
        try:
            with open(self.file, encoding='utf8') as file:
                return json.load(file)
        except FileNotFoundError:
            return {'users': {}, 'policies': {}}

    def change(self, work):
        with open(f'{self.file}.lock', 'w', encoding='utf8') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            accounts = self.read()
            work(accounts)
            with open(f'{self.file}.partial', 'w', encoding='utf8') as file:
                json.dump(accounts, file)
            os.rename(f'{self.file}.partial', self.file)

    def secret(self, key):
        return ROOT[1] if key == ROOT[0] else self.read()['users'].get(key, {}).get('secret')

    def may(self, key, action, arn):
        accounts = self.read()
        statements = [s for name in accounts['users'].get(key, {}).get('policies', []) for s in accounts['policies'].get(name, {}).get('Statement', [])]
        return any(s['Effect'] == 'Allow' and any(fnmatchcase(action, it) for it in as_list(s['Action'])) and any(fnmatchcase(arn, it) for it in as_list(s['Resource']))
                   for s in statements)


def sealed(cipher, nonce, text, opening):
    """sio-go's stream of one fragment: a nonce of 8 bytes and a counter, a tag of the last fragment as what is signed with it."""
    signed = b'\x80' + cipher.encrypt(nonce + struct.pack('<I', 0), b'', b'')
    return (cipher.decrypt if opening else cipher.encrypt)(nonce + struct.pack('<I', 1), text, signed)


def cipher_of(salt, kind):
    key = Argon2id(salt=salt, length=32, iterations=1, lanes=4, memory_cost=64 * 1024).derive(ROOT[1].encode())
    return {0: AESGCM, 1: ChaCha20Poly1305}[kind](key)


def decrypted(data):
    return sealed(cipher_of(data[:32], data[32]), data[33:41], data[41:], True)


def encrypted(text):
    salt, nonce = os.urandom(32), os.urandom(8)
    return salt + b'\0' + nonce + sealed(cipher_of(salt, 0), nonce, text, False)


class AlreadyApplied(ErrorResponse):
    _status = '400 Bad Request'
    _msg = 'The specified policy change is already in effect.'


class AdminController(Controller):
    """What `mc admin` asks of MinIO, as far as it is needed here."""
    acl_handler = BaseAclHandler
    resource_type = 'ADMIN'

    def work(self, req):
        if req.access_key != ROOT[0]:
            raise AccessDenied()
        if not req.sig_checker.check_signature(ROOT[1]):
            raise SignatureDoesNotMatch()
        words = req.object_name.split('/')[2:]
        return getattr(self, '_'.join(words).replace('-', '_'))(req, Accounts())

    GET = PUT = POST = public(work)

    def add_user(self, req, accounts):
        secret = json.loads(decrypted(req.xml(10000)))['secretKey']
        accounts.change(lambda it: it['users'].setdefault(req.params['accessKey'], {'policies': []}).update(secret=secret))
        return HTTPOk(body=b'')

    def user_info(self, req, accounts):
        user = accounts.read()['users'][req.params['accessKey']]
        return HTTPOk(body=json.dumps({'status': 'enabled', 'policyName': ','.join(user['policies'])}).encode(), content_type='application/json')

    def add_canned_policy(self, req, accounts):
        policy = json.loads(req.xml(10000))
        accounts.change(lambda it: it['policies'].update({req.params['name']: policy}))
        return HTTPOk(body=b'')

    def idp_builtin_policy_attach(self, req, accounts):
        wanted = json.loads(decrypted(req.xml(10000)))
        if set(wanted['policies']) <= set(accounts.read()['users'][wanted['user']]['policies']):
            raise AlreadyApplied()
        accounts.change(lambda it: it['users'][wanted['user']]['policies'].extend(wanted['policies']))
        return HTTPOk(body=encrypted(json.dumps({'policiesAttached': wanted['policies']}).encode()), content_type='application/octet-stream')


def action_of(req):
    """The right that a request needs, and on what."""
    if not req.container_name:
        return 's3:ListAllMyBuckets', 'arn:aws:s3:::'
    bucket, params, verb = f'arn:aws:s3:::{req.container_name}', req.params, req.method
    if req.object_name:
        if 'uploadId' in params and verb in ('GET', 'DELETE'):
            return {'GET': 's3:ListMultipartUploadParts', 'DELETE': 's3:AbortMultipartUpload'}[verb], f'{bucket}/{req.object_name}'
        return {'GET': 's3:GetObject', 'HEAD': 's3:GetObject', 'DELETE': 's3:DeleteObject'}.get(verb, 's3:PutObject'), f'{bucket}/{req.object_name}'
    if 'delete' in params:
        return 's3:DeleteObject', f'{bucket}/x'
    for word, action in (('policy', 'BucketPolicy'), ('location', 'BucketLocation'), ('acl', 'BucketAcl')):
        if word in params:
            return ('s3:Get' if verb == 'GET' else 's3:Put') + action, bucket
    if 'uploads' in params:
        return 's3:ListBucketMultipartUploads', bucket
    return {'GET': 's3:ListBucket', 'HEAD': 's3:ListBucket', 'PUT': 's3:CreateBucket'}.get(verb, 's3:DeleteBucket'), bucket


def with_policy(original):
    def controller(self):
        if self.container_name == 'minio' and (self.object_name or '').startswith('admin/'):
            return AdminController
        if self.access_key != ROOT[0] and not Accounts().may(self.access_key, *action_of(self)):
            raise AccessDenied()
        return PolicyController if 'policy' in self.params and self.is_bucket_request else original.fget(self)
    return property(controller)


s3request.S3Request.controller = with_policy(s3request.S3Request.controller)


def in_its_region(original):
    """MinIO, when it is not told a region of its own, takes requests that are signed for any."""
    def parse(self):
        credential = self.params.get('X-Amz-Credential') or self.headers.get('Authorization', '').partition('Credential=')[2].split(',')[0]
        self.location = (credential.split('/') + ['', ''])[2]
        return original(self)
    return parse


for way in ('_parse_query_authentication', '_parse_header_authentication'):
    setattr(s3request.SigV4Mixin, way, in_its_region(getattr(s3request.SigV4Mixin, way)))


class Front:
    def __init__(self, app):
        self.app = app

    def __call__(self, env, start_response):
        signed = env.get('s3api.auth_details')
        return self.with_key(signed, env, start_response) if signed else self.without_key(env, start_response)

    def with_key(self, signed, env, start_response):
        secret = Accounts().secret(signed['access_key'])
        if secret is not None and signed['check_signature'](secret):
            # /v1/KEY/bucket/object, and /v1/ACCOUNT/... when s3api asks on its own account.
            _, version, _, *rest = env['PATH_INFO'].split('/', 3)
            env['PATH_INFO'] = '/'.join(['', version, ACCOUNT, *rest])
            env['REMOTE_USER'] = ROOT[0]
            env['swift_owner'] = True
            env['swift.authorize'] = lambda req: None
        else:
            env['swift.authorize'] = lambda req: HTTPUnauthorized(request=req)
        return self.app(env, start_response)

    def without_key(self, env, start_response):
        reads, path = env['REQUEST_METHOD'] in ('GET', 'HEAD'), env.get('PATH_INFO', '')
        if reads and path.startswith('/minio/health/'):
            up = os.access(os.environ['S3_DISK'], os.W_OK)
            start_response('200 OK' if up else '503 Service Unavailable', [('Content-Length', '0')])
            return [b'']
        bucket, _, key = path[1:].partition('/')
        # Buckets with a + in their name hold the parts of unfinished uploads.
        if reads and bucket and key and '+' not in bucket and self.open_to_all(env, bucket, key):
            env['PATH_INFO'] = f'/v1/{ACCOUNT}/{bucket}/{key}'
            env['RAW_PATH_INFO'] = quote(env['PATH_INFO'], safe='/')
            env['QUERY_STRING'] = ''
            env['swift.authorize'] = lambda req: None
            return self.app(env, start_response)
        start_response('403 Forbidden', [('Content-Type', 'application/xml'), ('Content-Length', str(len(DENIED)))])
        return [b'' if env['REQUEST_METHOD'] == 'HEAD' else DENIED]

    def open_to_all(self, env, bucket, key):
        container = dict(env, PATH_INFO=f'/v1/{ACCOUNT}/{bucket}')
        document = get_container_info(container, self.app, swift_source='S3P').get('sysmeta', {}).get('s3api-policy')
        return bool(document) and may_read(json.loads(unquote(document)), bucket, key)


def factory(global_conf, **local):
    return Front
