// CoreDNS with the plugins that a cluster's DNS uses, and none of those that talk to clouds.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"
	_ "github.com/coredns/coredns/plugin/whoami"
)

// A query passes the plugins in this order, whatever the order in the Corefile: upstream's, less what is left out.
var order = []string{
	"reload", "bind", "health", "ready", "prometheus", "errors", "log", "cache", "template", "hosts", "kubernetes",
	"loop", "forward", "whoami",
}

func main() {
	dnsserver.Directives = order
	coremain.Run()
}
