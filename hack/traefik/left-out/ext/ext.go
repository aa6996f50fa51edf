// Package ext is where a vendor of Traefik adds fields to its configuration: none.
package ext

type HTTP struct{}

type Router struct{}
