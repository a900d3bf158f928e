// A service with Auth.js (@auth/express), with a provider of type `oidc`, as its guide begins.
// Reading userinfo again, refreshing and signing out with us are the service's own lines there.

import { ExpressAuth, getSession } from '@auth/express';
import express from 'express';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, HOME_URI, PORT } = process.env;
const known = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json();

const config = {
  secret: 'of the test, and of nothing else',
  trustHost: true,
  providers: [{
    id: 'yinzheng', name: 'Yinzheng', type: 'oidc',
    issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET,
  }],
  callbacks: {
    jwt({ token, account }) { return account ? { ...token, account } : token; },
    session({ session, token }) { return { ...session, account: token.account }; },
  },
};
const account = async (request) => (await getSession(request, config)).account;

const app = express();
app.use('/auth/*', ExpressAuth(config));
app.get('/', async (request, response) => response.json(await getSession(request, config)));
app.get('/userinfo', async (request, response) => {
  const authorization = `Bearer ${(await account(request)).access_token}`;
  const answer = await fetch(known.userinfo_endpoint, { headers: { authorization } });
  response.status(answer.status).json(await answer.json());
});
app.get('/refresh', async (request, response) => {
  const body = new URLSearchParams({
    grant_type: 'refresh_token', refresh_token: (await account(request)).refresh_token,
    client_id: CLIENT_ID, client_secret: CLIENT_SECRET,
  });
  const answer = await fetch(known.token_endpoint, { method: 'POST', body });
  response.status(answer.status).json(await answer.json());
});
app.get('/logout', async (request, response) => {
  const leave = new URL(known.end_session_endpoint);
  leave.searchParams.set('id_token_hint', (await account(request)).id_token);
  leave.searchParams.set('post_logout_redirect_uri', HOME_URI);
  response.redirect(leave.href);
});
app.listen(Number(PORT), '127.0.0.1');
