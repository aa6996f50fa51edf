// Package lego makes no client.
package lego

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

type User interface {
	GetEmail() string
	GetRegistration() *acme.ExtendedAccount
	GetPrivateKey() crypto.Signer
}

type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate struct{ Timeout time.Duration }
}

type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *SolverManager
	Registration *registration.Registrar
}

type SolverManager struct{}

func (*SolverManager) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return certificate.ErrWithoutACME
}

func (*SolverManager) SetHTTP01Provider(challenge.Provider, ...http01.Option) error {
	return certificate.ErrWithoutACME
}

func (*SolverManager) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.Option) error {
	return certificate.ErrWithoutACME
}

func NewConfig(User) *Config { return &Config{} }

func NewClient(*Config) (*Client, error) { return nil, certificate.ErrWithoutACME }

func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, certificate.ErrWithoutACME }
