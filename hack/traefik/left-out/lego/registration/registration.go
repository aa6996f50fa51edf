// Package registration registers nobody.
package registration

import (
	"context"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
)

type RegisterOptions struct{ TermsOfServiceAgreed bool }

type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid                  string
	HmacEncoded          string
}

type Registrar struct{}

func (*Registrar) Register(context.Context, RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, certificate.ErrWithoutACME
}

func (*Registrar) RegisterWithExternalAccountBinding(
	context.Context, RegisterEABOptions,
) (*acme.ExtendedAccount, error) {
	return nil, certificate.ErrWithoutACME
}
