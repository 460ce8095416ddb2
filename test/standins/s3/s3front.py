"""A filter that turns Swift's proxy into an S3 server with one key and with bucket policies.

It sits behind s3api, so it sees signed requests, whose signature s3api can check, and everything unsigned. The only key is
MINIO_ROOT_USER with MINIO_ROOT_PASSWORD. Of the unsigned requests the health paths are answered, and GET and HEAD of an object
that the bucket's policy opens: anonymous listing and writing are never possible.

s3api knows no bucket policy, so GET, PUT and DELETE ?policy are added here. Only "Allow * s3:GetObject" and "Deny" statements
without a condition have an effect.
"""
import json
import os
from fnmatch import fnmatchcase
from urllib.parse import quote, unquote

from swift.common.middleware.s3api import s3request
from swift.common.middleware.s3api.acl_handlers import BaseAclHandler
from swift.common.middleware.s3api.controllers.base import Controller, bucket_operation
from swift.common.middleware.s3api.s3response import ErrorResponse, HTTPNoContent, HTTPOk
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


def with_policy(original):
    def controller(self):
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
        self.user, self.password = os.environ['MINIO_ROOT_USER'], os.environ['MINIO_ROOT_PASSWORD']

    def __call__(self, env, start_response):
        signed = env.get('s3api.auth_details')
        return self.with_key(signed, env, start_response) if signed else self.without_key(env, start_response)

    def with_key(self, signed, env, start_response):
        if signed['access_key'] == self.user and signed['check_signature'](self.password):
            # /v1/KEY/bucket/object, and /v1/ACCOUNT/... when s3api asks on its own account.
            _, version, _, *rest = env['PATH_INFO'].split('/', 3)
            env['PATH_INFO'] = '/'.join(['', version, ACCOUNT, *rest])
            env['REMOTE_USER'] = self.user
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
