// Package certificate gets none.
package certificate

import (
	"context"
	"errors"

	"github.com/go-acme/lego/v5/certcrypto"
)

var ErrWithoutACME = errors.New("built without ACME")

type Resource struct {
	ID          string
	Domains     []string
	PrivateKey  []byte
	Certificate []byte
}

type ObtainRequest struct {
	Domains          []string
	EmailAddresses   []string
	Profile          string
	PreferredChain   string
	KeyType          certcrypto.KeyType
	Bundle           bool
	EnableCommonName bool
}

type RenewOptions struct {
	EmailAddresses   []string
	Profile          string
	PreferredChain   string
	Bundle           bool
	EnableCommonName bool
}

type Certifier struct{}

func (*Certifier) Obtain(context.Context, ObtainRequest) (*Resource, error) {
	return nil, ErrWithoutACME
}

func (*Certifier) Renew(context.Context, Resource, *RenewOptions) (*Resource, error) {
	return nil, ErrWithoutACME
}
