// Dex, composed of its own packages because its command cannot be had as a module: its server, its
// storage in memory, its OpenID Connect connector towards us, and one client of its own.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/dexidp/dex/connector/oidc"
	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

func main() {
	logger := logrus.New()
	upstream, err := json.Marshal(oidc.Config{
		Issuer:       os.Getenv("ISSUER"),
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		RedirectURI:  os.Getenv("REDIRECT_URI"),
	})
	if err != nil {
		log.Fatal(err)
	}
	kept := memory.New(logger)
	kept = storage.WithStaticConnectors(kept, []storage.Connector{
		{ID: "yinzheng", Type: "oidc", Name: "Yinzheng", Config: upstream},
	})
	kept = storage.WithStaticClients(kept, []storage.Client{{
		ID:           "service",
		Secret:       os.Getenv("SERVICE_SECRET"),
		Name:         "A service behind the broker",
		RedirectURIs: []string{os.Getenv("SERVICE_REDIRECT_URI")},
	}})
	broker, err := server.NewServer(context.Background(), server.Config{
		Issuer:             os.Getenv("BROKER"),
		Storage:            kept,
		Web:                server.WebConfig{Dir: os.Getenv("WEB")},
		Logger:             logger,
		PrometheusRegistry: prometheus.NewRegistry(),
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), broker))
}
