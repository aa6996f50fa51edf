// Package dns01 has the options of the challenge by DNS.
package dns01

import (
	"strings"
	"time"
)

type Client struct{}

type Options struct{ RecursiveNameservers []string }

type ChallengeOption func()

func NewClient(*Options) *Client { return &Client{} }

func SetDefaultClient(*Client) {}

func CondOptions(bool, ...ChallengeOption) ChallengeOption { return nil }

func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return nil }

func DisableRecursiveNSsPropagationRequirement() ChallengeOption { return nil }

func PropagationWait(time.Duration, bool) ChallengeOption { return nil }

// UnFqdn takes the dot at the end away.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
