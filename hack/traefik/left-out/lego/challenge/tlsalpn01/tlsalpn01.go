// Package tlsalpn01 has the options of the challenge by TLS.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/certificate"
)

// ACMETLS1Protocol is the protocol's name in RFC 8737.
const ACMETLS1Protocol = "acme-tls/1"

type Option func()

func SetDelay(time.Duration) Option { return nil }

func ChallengeBlocks(_, _ string) ([]byte, []byte, error) {
	return nil, nil, certificate.ErrWithoutACME
}
