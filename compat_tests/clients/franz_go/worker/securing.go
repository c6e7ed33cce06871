package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// secured is an address as compat_tests/secured.py writes it: SASL_SSL://host:port?ca=..., or plain host:port.
func secured(address string) []kgo.Opt {
	protocol, rest, found := strings.Cut(address, "://")
	if !found {
		return []kgo.Opt{kgo.SeedBrokers(address)}
	}
	broker, query, _ := strings.Cut(rest, "?")
	options := []kgo.Opt{kgo.SeedBrokers(broker)}
	parts, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	if strings.HasSuffix(protocol, "SSL") {
		options = append(options, kgo.DialTLSConfig(encrypting(parts)))
	}
	user, password := parts.Get("user"), parts.Get("password")
	shared := scram.Auth{User: user, Pass: password, IsToken: parts.Has("by_token")}
	switch parts.Get("mechanism") {
	case "PLAIN":
		options = append(options, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	case "SCRAM-SHA-256":
		options = append(options, kgo.SASL(shared.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		options = append(options, kgo.SASL(shared.AsSha512Mechanism()))
	case "OAUTHBEARER": // the password is the token
		options = append(options, kgo.SASL(oauth.Auth{Token: password}.AsMechanism()))
	}
	return options
}

func encrypting(parts url.Values) *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	authority, err := os.ReadFile(parts.Get("ca"))
	if err != nil {
		panic(err)
	}
	config.RootCAs.AppendCertsFromPEM(authority)
	if parts.Has("certificate") {
		pair, err := tls.LoadX509KeyPair(parts.Get("certificate"), parts.Get("key"))
		if err != nil {
			panic(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
