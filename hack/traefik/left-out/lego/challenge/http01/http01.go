// Package http01 has the options of the challenge by HTTP.
package http01

import "time"

// PathPrefix is where RFC 8555 wants the answer.
const PathPrefix = "/.well-known/acme-challenge/"

type Option func()

func SetDelay(time.Duration) Option { return nil }
