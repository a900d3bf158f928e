// A service that signs people in as the README of go-oidc shows, and nothing beyond it: issuer,
// client id, secret and redirect URI come from the environment.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	config   oauth2.Config
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier

	mutex    sync.Mutex
	state    string
	token    *oauth2.Token
	loggedIn = map[string]bool{} // by sid
)

func main() {
	var err error
	provider, err = oidc.NewProvider(context.Background(), os.Getenv("ISSUER"))
	if err != nil {
		log.Fatal(err)
	}
	config = oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		RedirectURL:  os.Getenv("REDIRECT_URI"),
		Endpoint:     provider.Endpoint(),
		Scopes:       []string{oidc.ScopeOpenID, "profile", "email"},
	}
	verifier = provider.Verifier(&oidc.Config{ClientID: config.ClientID})

	http.HandleFunc("/login", login)
	http.HandleFunc("/callback", callback)
	http.HandleFunc("/refresh", refresh)
	http.HandleFunc("/logout", logout)
	http.HandleFunc("/told", told)
	http.HandleFunc("/{$}", home)
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}

func login(w http.ResponseWriter, r *http.Request) {
	state = rand.Text()
	http.Redirect(w, r, config.AuthCodeURL(state), http.StatusFound)
}

func callback(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("state") != state {
		http.Error(w, "state does not match", http.StatusBadRequest)
		return
	}
	exchanged, err := config.Exchange(r.Context(), r.URL.Query().Get("code"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	show(w, r, exchanged)
}

// refresh lets the library think that the access token has expired.
func refresh(w http.ResponseWriter, r *http.Request) {
	old := *token
	old.Expiry = time.Now().Add(-time.Minute)
	refreshed, err := config.TokenSource(r.Context(), &old).Token()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	show(w, r, refreshed)
}

// show verifies the ID token, reads userinfo and answers both, with the tokens.
func show(w http.ResponseWriter, r *http.Request, got *oauth2.Token) {
	raw, _ := got.Extra("id_token").(string)
	idToken, err := verifier.Verify(r.Context(), raw)
	if err != nil {
		http.Error(w, "id token: "+err.Error(), http.StatusBadGateway)
		return
	}
	var claims map[string]any
	if err := idToken.Claims(&claims); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answered, err := userinfo(r.Context(), got)
	if err != nil {
		http.Error(w, "userinfo: "+err.Error(), http.StatusBadGateway)
		return
	}
	mutex.Lock()
	token = got
	if sid, ok := claims["sid"].(string); ok {
		loggedIn[sid] = true
	}
	mutex.Unlock()
	answer(w, map[string]any{
		"claims":        claims,
		"userinfo":      answered,
		"access_token":  got.AccessToken,
		"refresh_token": got.RefreshToken,
	})
}

// userinfo is nil where the provider has no such address, as old brokers have none.
func userinfo(ctx context.Context, got *oauth2.Token) (map[string]any, error) {
	if provider.UserInfoEndpoint() == "" {
		return nil, nil
	}
	read, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(got))
	if err != nil {
		return nil, err
	}
	var answered map[string]any
	err = read.Claims(&answered)
	return answered, err
}

func logout(w http.ResponseWriter, r *http.Request) {
	var known struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&known); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	raw, _ := token.Extra("id_token").(string)
	asked := url.Values{
		"id_token_hint":            {raw},
		"post_logout_redirect_uri": {os.Getenv("HOME_URI")},
	}
	http.Redirect(w, r, known.EndSession+"?"+asked.Encode(), http.StatusFound)
}

// told takes a back-channel logout notice.
func told(w http.ResponseWriter, r *http.Request) {
	notice, err := verifier.VerifyLogout(r.Context(), r.PostFormValue("logout_token"))
	if err != nil {
		log.Print("logout token: ", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mutex.Lock()
	delete(loggedIn, notice.SessionID)
	mutex.Unlock()
}

func home(w http.ResponseWriter, r *http.Request) {
	mutex.Lock()
	defer mutex.Unlock()
	answer(w, map[string]any{"signed_in": len(loggedIn)})
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("content-type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		log.Print(err)
	}
}
