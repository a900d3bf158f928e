// What a service would write with openid-client and jose; driven by tests/clients/conftest.py.
//
//   node flows.mjs NAME      the first line of standard input is the flow's configuration
//   -> {"visit": url}        somebody should open this; the answer is one line: where they ended up
//   -> {"say": value}        something the person needs; the answer is one line, when it was done
//   -> {"result": value}     the end, or {"error": {...}} as openid-client reported it

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';

import * as jose from 'jose';
import * as openid from 'openid-client';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;
const tell = (message) => console.log(JSON.stringify(message));
const ask = async (message) => { tell(message); return next(); };

const given = JSON.parse(await next());
const EC = { name: 'ECDSA', namedCurve: 'P-256' };

async function privateKey(jwk, use = EC, operations = ['sign']) {
  const { kid, use: _, alg: __, ...bare } = jwk;
  return { key: await crypto.subtle.importKey('jwk', bare, use, false, operations), kid };
}

/** `fetch` over a TLS connection that shows the client's certificate. */
function certifiedFetch() {
  const [pem, ca] = [given.certificate, given.authority].map((file) => readFileSync(file));
  return (url, { method, headers, body }) => new Promise((resolve, reject) => {
    const all = Object.fromEntries(new Headers(headers));
    const sent = httpsRequest(url, { method, headers: all, cert: pem, key: pem, ca }, async (got) => {
      const chunks = [];
      for await (const chunk of got) chunks.push(chunk);
      const content = Buffer.concat(chunks);
      resolve(new Response(content.length ? content : null, {
        status: got.statusCode, headers: got.headers,
      }));
    });
    sent.on('error', reject);
    sent.end(body ? String(body) : undefined);
  });
}

async function authentication() {
  if (given.certificate) return openid.TlsClientAuth();

  if (given.client_secret) return openid.ClientSecretBasic(given.client_secret);
  if (given.client_jwk) return openid.PrivateKeyJwt(await privateKey(given.client_jwk));
  return openid.None();
}

async function discover(metadata = {}) {
  const options = { execute: [openid.allowInsecureRequests] };
  if (given.certificate) options[openid.customFetch] = certifiedFetch();
  const all = { id_token_signed_response_alg: 'ES256', ...metadata };
  return openid.discovery(
    new URL(given.issuer), given.client_id, all, await authentication(), options,
  );
}

/** A sign-in from the first redirect to the tokens; `more` are parameters, `options` DPoP and such. */
async function signIn(config, { pushed = false, more = {}, options = {} } = {}) {
  const pkceCodeVerifier = openid.randomPKCECodeVerifier();
  const expectedState = openid.randomState();
  const expectedNonce = openid.randomNonce();
  const parameters = {
    redirect_uri: given.redirect_uri,
    scope: given.scope ?? 'openid profile offline_access',
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
    ...more,
  };
  const url = pushed
    ? await openid.buildAuthorizationUrlWithPAR(config, parameters, options)
    : openid.buildAuthorizationUrl(config, parameters);
  const back = new URL(await ask({ visit: url.href }));
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return openid.authorizationCodeGrant(config, back, checks, undefined, options);
}

const plain = (tokens) => ({ ...tokens, claims: tokens.claims?.() });

const flows = {
  async discovery() {
    return (await discover()).serverMetadata();
  },

  async code() {
    const config = await discover();
    const tokens = await signIn(config);
    const userinfo = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token);
    return { tokens: plain(tokens), userinfo, refreshed: plain(refreshed) };
  },

  async dpop() {
    const config = await discover();
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'));
    const thumbprint = await DPoP.calculateThumbprint();
    const options = { DPoP };
    const tokens = await signIn(config, {
      pushed: given.pushed, more: given.pushed ? {} : { dpop_jkt: thumbprint }, options,
    });
    const subject = tokens.claims().sub;
    const userinfo = await openid.fetchUserInfo(config, tokens.access_token, subject, options);
    const refreshed = await openid.refreshTokenGrant(
      config, tokens.refresh_token, undefined, options,
    );
    const stolen = await fetch(new URL('/oauth/userinfo', given.issuer), {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    return {
      tokens: plain(tokens), userinfo, refreshed: plain(refreshed), thumbprint,
      stolen: { status: stolen.status, challenge: stolen.headers.get('www-authenticate') },
    };
  },

  /** Registers itself (RFC 7591), then signs somebody in with what it was given. */
  async registration() {
    const config = await openid.dynamicClientRegistration(
      new URL(given.issuer),
      { ...given.metadata, id_token_signed_response_alg: 'ES256' },
      undefined,
      { initialAccessToken: given.initial_access_token, execute: [openid.allowInsecureRequests] },
    );
    const registered = config.clientMetadata();
    const tokens = await signIn(config);
    return { registered, tokens: plain(tokens) };
  },

  /** A signed request object (RFC 9101). */
  async signed_request() {
    const config = await discover();
    const pkceCodeVerifier = openid.randomPKCECodeVerifier();
    const expectedState = openid.randomState();
    const url = await openid.buildAuthorizationUrlWithJAR(config, {
      redirect_uri: given.redirect_uri,
      scope: 'openid profile',
      code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: expectedState,
    }, await privateKey(given.client_jwk));
    const back = new URL(await ask({ visit: url.href }));
    const checks = { pkceCodeVerifier, expectedState, idTokenExpected: true };
    return plain(await openid.authorizationCodeGrant(config, back, checks));
  },

  async device() {
    const config = await discover();
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'));
    const started = await openid.initiateDeviceAuthorization(config, { scope: given.scope });
    await ask({ say: started });
    return plain(await openid.pollDeviceAuthorizationGrant(config, started, undefined, { DPoP }));
  },

  async credentials() {
    const config = await discover();
    return openid.clientCredentialsGrant(config, { scope: given.scope });
  },

  /** A token bound to a certificate (RFC 8705), and what it is worth without. */
  async certificate() {
    const config = await discover();
    const tokens = await openid.clientCredentialsGrant(config, { scope: given.scope });
    return { tokens, told: await openid.tokenIntrospection(config, tokens.access_token) };
  },

  async introspection() {
    const config = await discover();
    const before = await openid.tokenIntrospection(config, given.token);
    await openid.tokenRevocation(config, given.token);
    const after = await openid.tokenIntrospection(config, given.token);
    return { before, after };
  },

  async signed_introspection() {
    const config = await discover({ introspection_signed_response_alg: 'ES256' });
    return openid.tokenIntrospection(config, given.token);
  },

  async encrypted() {
    const config = await discover({ userinfo_signed_response_alg: 'ES256' });
    const { kid, use, alg, ...bare } = given.encryption_jwk;
    const ecdh = { name: 'ECDH', namedCurve: 'P-256' };
    const key = await crypto.subtle.importKey('jwk', bare, ecdh, false, ['deriveBits']);
    openid.enableDecryptingResponses(config, ['A256GCM'], { key, kid, alg: 'ECDH-ES' });
    const tokens = await signIn(config);
    const userinfo = await openid.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    return { tokens: plain(tokens), userinfo };
  },

  /** jose, as somebody who only has our JWK Set: is this token ours, of this type, for this one? */
  async verify() {
    const keys = jose.createRemoteJWKSet(new URL('/keys/jwks.json', given.issuer));
    const { typ, audience } = given;
    const checks = { issuer: given.issuer, audience, typ, algorithms: ['ES256'] };
    const { payload, protectedHeader } = await jose.jwtVerify(given.token, keys, checks);
    return { payload, header: protectedHeader };
  },

  /** A service that is told when the session ends: it believes only what jose verifies. */
  async backchannel() {
    let told;
    const arrived = new Promise((resolve) => { told = resolve; });
    const service = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      response.writeHead(200, { 'cache-control': 'no-store' }).end();
      told(new URLSearchParams(body).get('logout_token'));
    });
    await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
    const uri = `http://127.0.0.1:${service.address().port}/backchannel`;
    Object.assign(given, JSON.parse(await ask({ say: { register: uri } })));
    const config = await discover();
    const tokens = await signIn(config);
    await ask({ say: { sign_out: true } });
    const keys = jose.createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
    const { payload } = await jose.jwtVerify(await arrived, keys, {
      issuer: given.issuer, audience: given.client_id, typ: 'logout+jwt', maxTokenAge: 120,
      requiredClaims: ['jti', 'events', 'iat', 'exp'],
    });
    return { signed_in: tokens.claims(), told: payload };
  },

  async decrypt() {
    const key = await jose.importJWK(given.encryption_jwk, given.alg);
    const { plaintext, protectedHeader } = await jose.compactDecrypt(given.token, key);
    return { token: new TextDecoder().decode(plaintext), header: protectedHeader };
  },
};

try {
  tell({ result: await flows[process.argv[2]]() });
} catch (problem) {
  const { name, message, code, error, error_description, status, cause } = problem;
  tell({ error: { name, message, code, error, error_description, status, cause: String(cause) } });
}
process.exit(0);
