// A native app with AppAuth-JS, as its own example begins: it opens the browser of the system, and
// listens on a port of the loopback address that nobody registered.

import { register } from 'node:module';

register('./extensions.mjs', import.meta.url);
const library = await import('@openid/appauth');
const { NodeBasedHandler, NodeCrypto, NodeRequestor } = {
  ...(await import('@openid/appauth/built/src/node_support/index.js')),
  ...(await import('@openid/appauth/built/src/node_support/node_requestor.js')),
  ...(await import('@openid/appauth/built/src/node_support/node_request_handler.js')),
};

const { ISSUER, CLIENT_ID, PORT } = process.env;
const redirect_uri = `http://127.0.0.1:${PORT}/`;
const requestor = new NodeRequestor();
const known = await library.AuthorizationServiceConfiguration.fetchFromIssuer(ISSUER, requestor);
const tokens = new library.BaseTokenRequestHandler(requestor);
const authorization = new NodeBasedHandler(Number(PORT));
const notifier = new library.AuthorizationNotifier();
authorization.setAuthorizationNotifier(notifier);

const answered = new Promise((resolve) => {
  notifier.setAuthorizationListener((request, response, error) => resolve({ request, response, error }));
});
authorization.performAuthorizationRequest(known, new library.AuthorizationRequest({
  client_id: CLIENT_ID,
  redirect_uri,
  scope: 'openid profile offline_access',
  response_type: library.AuthorizationRequest.RESPONSE_TYPE_CODE,
  extras: { prompt: 'consent' },
}, new NodeCrypto()));
const { request, response, error } = await answered;
if (error) throw new Error(JSON.stringify(error));

const asked = (grant_type, more) => tokens.performTokenRequest(known, new library.TokenRequest({
  client_id: CLIENT_ID, redirect_uri, grant_type, ...more,
}));
const first = await asked(library.GRANT_TYPE_AUTHORIZATION_CODE, {
  code: response.code,
  extras: { code_verifier: request.internal.code_verifier },
});
const second = await asked(library.GRANT_TYPE_REFRESH_TOKEN, { refresh_token: first.refreshToken });
const person = await fetch(known.userInfoEndpoint, {
  headers: { authorization: `Bearer ${second.accessToken}` },
});
await tokens.performRevokeTokenRequest(known, new library.RevokeTokenRequest({
  client_id: CLIENT_ID, token: second.refreshToken,
}));
const over = await fetch(known.userInfoEndpoint, {
  headers: { authorization: `Bearer ${second.accessToken}` },
});
console.log(JSON.stringify({
  person: await person.json(),
  rotated: first.refreshToken !== second.refreshToken,
  idToken: first.idToken,
  over: over.status,
}));
process.exit(0);
