// panva's oidc-provider with the clients of test_differential.py and everything in memory.
//
//   node rival.mjs   reads one line of JSON: {"jwk": public key of the client "jwt", "redirect_uri"}
//                    prints one line of JSON when it listens on 127.0.0.1: {"port", "admin", ...}
//   GET ADMIN/codes and ADMIN/refresh?client=ID mint what a person would have allowed.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider, { errors } from 'oidc-provider';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { jwk, redirect_uri: redirectUri, logged_out_uri: loggedOutUri } = JSON.parse((await lines.next()).value);
const secret = () => randomBytes(32).toString('base64url');
const ADMIN = `/${secret()}`;
const VERIFIER = secret();
const challenge = createHash('sha256').update(VERIFIER).digest('base64url');
const secrets = { basic: secret(), post: secret(), other: secret(), core: secret() };
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

const web = {
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  response_types: ['code'],
  redirect_uris: [redirectUri],
  post_logout_redirect_uris: [loggedOutUri],
  id_token_signed_response_alg: 'ES256',
  scope: 'openid profile offline_access records',
};
const clients = [
  { ...web, client_id: 'basic', client_secret: secrets.basic },
  { ...web, client_id: 'other', client_secret: secrets.other },
  { ...web, client_id: 'core', client_secret: secrets.core },
  {
    ...web, client_id: 'native', application_type: 'native', token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], redirect_uris: ['http://127.0.0.1/callback'],
  },
  { ...web, client_id: 'post', client_secret: secrets.post, token_endpoint_auth_method: 'client_secret_post' },
  { ...web, client_id: 'jwt', token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] } },
  {
    ...web, client_id: 'public', token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
  },
  {
    client_id: 'device', token_endpoint_auth_method: 'none', grant_types: [DEVICE],
    redirect_uris: [], response_types: [], id_token_signed_response_alg: 'ES256',
    scope: 'openid profile',
  },
];

const http = createServer();
await new Promise((resolve) => { http.listen(0, '127.0.0.1', resolve); });
const issuer = `http://127.0.0.1:${http.address().port}`;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(issuer, {
  clients,
  cookies: { keys: [secret()], long: { sameSite: 'none' }, short: { sameSite: 'none' } },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'rival' }] },
  claims: { openid: ['sub'], profile: ['name'] },
  scopes: ['openid', 'offline_access', 'records'],
  enableHttpPostMethods: true,
  pkce: { required: (ctx, client) => client.clientId !== 'core' },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: 'Chen' }) }),
  rotateRefreshToken: true,
  enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'PS256', 'EdDSA'], idTokenSigningAlgValues: ['ES256'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    deviceFlow: { enabled: true },
    dPoP: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    registration: { enabled: true, initialAccessToken: true },
    claimsParameter: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: () => { throw new errors.InvalidTarget(); } },
    requestObjects: { enabled: true },
  },
});

async function minted(Model, clientId, more) {
  const client = await provider.Client.find(clientId);
  const accountId = 'chen';
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope('openid profile offline_access');
  return new Model({
    accountId, client, grantId: await grant.save(), scope: 'openid profile offline_access',
    authTime: Math.floor(Date.now() / 1000), gty: 'authorization_code', ...more,
  }).save();
}

const MINT = {
  codes: (id) => minted(provider.AuthorizationCode, id, {
    redirectUri, codeChallenge: challenge, codeChallengeMethod: 'S256',
  }),
  refresh: (id) => minted(provider.RefreshToken, id, { rotations: 0 }),
  access: (id) => minted(provider.AccessToken, id, { claims: {} }),
  initial: () => new provider.InitialAccessToken({}).save(),
};

const oauth = provider.callback();
http.on('request', async (request, response) => {
  if (!request.url.startsWith(ADMIN)) return oauth(request, response);
  const { pathname, searchParams } = new URL(request.url, issuer);
  const made = await MINT[pathname.slice(ADMIN.length + 1)](searchParams.get('client'));
  return response.end(made);
});
console.log(JSON.stringify({ issuer, admin: issuer + ADMIN, verifier: VERIFIER, secrets }));
