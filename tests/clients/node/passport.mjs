// A service with passport-openidconnect, as its README begins. Refreshing and signing out are no
// part of the package: the service asks the token endpoint and leads away by itself.

import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-openidconnect';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, HOME_URI, PORT } = process.env;
const known = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json();

passport.use(new Strategy({
  issuer: ISSUER,
  authorizationURL: known.authorization_endpoint,
  tokenURL: known.token_endpoint,
  userInfoURL: known.userinfo_endpoint,
  clientID: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  callbackURL: REDIRECT_URI,
  scope: ['profile'],
}, (issuer, profile, _, __, idToken, accessToken, refreshToken, ___, done) => {  // with nine, it reads userinfo
  done(null, { issuer, profile, idToken, accessToken, refreshToken });
}));
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));

const app = express();
app.use(session({ secret: 'of the test', resave: false, saveUninitialized: false }));
app.use(passport.session());
app.get('/login', passport.authenticate('openidconnect'));
app.get('/callback', passport.authenticate('openidconnect'), (_, response) => response.redirect('/'));
app.get('/', (request, response) => response.json({ user: request.user ?? null }));
app.get('/refresh', async (request, response) => {
  const body = new URLSearchParams({
    grant_type: 'refresh_token', refresh_token: request.user.refreshToken,
  });
  const authorization = `Basic ${btoa(`${CLIENT_ID}:${CLIENT_SECRET}`)}`;
  const answer = await fetch(known.token_endpoint, {
    method: 'POST', body, headers: { authorization },
  });
  response.status(answer.status).json(await answer.json());
});
app.get('/logout', (request, response, next) => {
  const leave = new URL(known.end_session_endpoint);
  leave.searchParams.set('id_token_hint', request.user.idToken);
  leave.searchParams.set('post_logout_redirect_uri', HOME_URI);
  request.logout((problem) => (problem ? next(problem) : response.redirect(leave.href)));
});
app.listen(Number(PORT), '127.0.0.1');
