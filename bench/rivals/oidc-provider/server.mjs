// A rival in its fairest case: panva's oidc-provider, one process, a plain Map for a database
// (nothing is durable), ES256, JWT access tokens, no middleware of ours on the measured paths.
//
//   node server.mjs ADMIN_PATH        prints one line of JSON when it listens on 127.0.0.1
//   GET ADMIN_PATH/codes?count=N      N authorization codes, made by the provider's own classes
//   GET ADMIN_PATH/refresh?count=N    N refresh tokens
//   GET ADMIN_PATH/opaque?count=N     N opaque access tokens (the only ones it introspects)
//
// ADMIN_PATH is a secret of the run; the server listens on loopback only.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const ADMIN = process.argv[2];
const RESOURCE = 'urn:bench:api';
const REDIRECT_URI = 'https://client.example/callback';
const VERIFIER = randomBytes(32).toString('base64url');
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');
const SECRET = randomBytes(32).toString('base64url');
const SCOPE = 'openid offline_access records.read';

/** One Map for all models, and one from a grant to what grew out of it. */
const rows = new Map();
const grants = new Map();

class MapAdapter {
  constructor(model) {
    this.prefix = `${model}:`;
  }

  async upsert(id, payload) {
    const key = this.prefix + id;
    rows.set(key, payload);
    if (payload.grantId !== undefined) {
      const grown = grants.get(payload.grantId);
      if (grown === undefined) grants.set(payload.grantId, [key]);
      else grown.push(key);
    }
  }

  async find(id) {
    return rows.get(this.prefix + id);
  }

  async consume(id) {
    rows.get(this.prefix + id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    rows.delete(this.prefix + id);
  }

  async revokeByGrantId(grantId) {
    for (const key of grants.get(grantId) ?? []) rows.delete(key);
    grants.delete(grantId);
  }

  async findByUid() {
    return undefined;
  }

  async findByUserCode() {
    return undefined;
  }
}

const http = createServer();
await new Promise((resolve) => http.listen(0, '127.0.0.1', 2048, resolve));
http.keepAliveTimeout = 120_000;
const issuer = `http://127.0.0.1:${http.address().port}`;

const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const provider = new Provider(issuer, {
  adapter: MapAdapter,
  clients: [
    {
      client_id: 'bench',
      client_secret: SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [REDIRECT_URI],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [{ ...signingKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  clientBasedCORS: () => false,
  conformIdTokenClaims: true,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  scopes: ['openid', 'offline_access'],
  ttl: {
    AccessToken: 600, ClientCredentials: 600, IdToken: 600, AuthorizationCode: 3600,
    RefreshToken: 14 * 86400, Grant: 90 * 86400, Session: 86400, Interaction: 3600,
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'records.read',
        audience: RESOURCE,
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

const client = await provider.Client.find('bench');

async function grantFor(accountId) {
  const grant = new provider.Grant({ accountId, clientId: 'bench' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(RESOURCE, 'records.read');
  return grant.save();
}

async function grown(Model, more) {
  const accountId = `person-${randomBytes(8).toString('hex')}`;
  return new Model({
    accountId,
    client,
    grantId: await grantFor(accountId),
    scope: SCOPE,
    resource: RESOURCE,
    authTime: Math.floor(Date.now() / 1000),
    acr: 'password',
    amr: ['pwd'],
    sid: randomBytes(16).toString('base64url'),
    gty: 'authorization_code',
    ...more,
  }).save();
}

const MINT = {
  codes: () => grown(provider.AuthorizationCode, {
    redirectUri: REDIRECT_URI,
    codeChallenge: CHALLENGE,
    codeChallengeMethod: 'S256',
    nonce: randomBytes(16).toString('base64url'),
  }),
  refresh: () => grown(provider.RefreshToken, { rotations: 0 }),
  opaque: () => new provider.ClientCredentials({ client, scope: 'records.read' }).save(),
};

async function mint(url, response) {
  const { pathname, searchParams } = new URL(url, issuer);
  const make = MINT[pathname.slice(ADMIN.length + 1)];
  const made = [];
  for (let at = 0; at < Number(searchParams.get('count')); at += 1) made.push(await make());
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(made));
}

const oauth = provider.callback();
http.on('request', (request, response) => {
  if (!request.url.startsWith(ADMIN)) return oauth(request, response);
  return mint(request.url, response).catch((failure) => {
    response.statusCode = 500;
    response.end(String(failure?.stack));
  });
});

const manifest = new URL('node_modules/oidc-provider/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest));
console.log(JSON.stringify({
  port: http.address().port,
  version: `oidc-provider ${version} on Node ${process.versions.node}`,
  client_id: 'bench',
  client_secret: SECRET,
  redirect_uri: REDIRECT_URI,
  code_verifier: VERIFIER,
  resource: RESOURCE,
}));
process.on('SIGTERM', () => process.exit(0));
