// Package acme has the answers of a server of certificates.
package acme

type Account struct {
	Status  string   `json:"status,omitempty"`
	Contact []string `json:"contact,omitempty"`
}

type ExtendedAccount struct {
	Account
	Location string `json:"location,omitempty"`
}
