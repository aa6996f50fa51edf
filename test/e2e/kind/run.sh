#!/usr/bin/env bash
# Upstream's specs on Weir in a cluster of kind:
#   test/e2e/kind/run.sh [SUITE...]       (default: netpol services)
# Needs docker, kind, Go, and Node with npm. The last line is `N passed, N failed, N skipped`. KEEP=1 leaves the cluster.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../.."
cluster=weir
image=weir:e2e
if (($# > 0)); then suites=("$@"); else suites=(netpol services); fi

say() { printf '\n== %s\n' "$*" >&2; }
is_ipv6() { [[ $1 == *:* ]]; }

say "the image $image, and upstream's programs"
if [[ ! -x node_modules/.bin/node ]]; then npm ci --no-audit --no-fund; fi
PATH="$PWD/node_modules/.bin:$PATH"
node hack/build.ts
docker build --tag "$image" .
programs=$(node hack/upstream.ts)
# For kubectl.
export PATH="$programs:$PATH"
KUBECONFIG=$(mktemp)
export KUBECONFIG

clean_up() {
  if [[ ${KEEP:-} == 1 ]]; then
    printf 'The cluster stays: KUBECONFIG=%s; kind delete cluster --name %s\n' "$KUBECONFIG" "$cluster" >&2
    return
  fi
  kind delete cluster --name "$cluster"
  rm -f "$KUBECONFIG"
}
trap clean_up EXIT

say 'the cluster'
kind create cluster --config "$here/cluster.yaml" --kubeconfig "$KUBECONFIG"
kind load docker-image "$image" --name "$cluster"
# The specs want three nodes.
kubectl taint nodes --all node-role.kubernetes.io/control-plane-

# A veth and an address for each pod, and a route to each node: ptp, host-local and portmap are in kind's nodes already, so nothing
# else has to be installed, and nothing of it knows of policies.
say 'the network of the pods'
kubectl wait --timeout=120s --for=jsonpath='{.spec.podCIDRs}' nodes --all
mapfile -t nodes < <(kubectl get nodes --output=name | cut -d / -f 2)
for node in "${nodes[@]}"; do
  read -r -a cidrs < <(kubectl get node "$node" --output=jsonpath='{.spec.podCIDRs[*]}{"\n"}')
  read -r -a addresses < <(
    kubectl get node "$node" --output=jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}{"\n"}'
  )
  ranges=$(printf ',[{"subnet":"%s"}]' "${cidrs[@]}")
  docker exec --interactive "$node" tee /etc/cni/net.d/10-pods.conflist >/dev/null <<JSON
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {
        "type": "host-local",
        "ranges": [${ranges#,}],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
JSON
  for other in "${nodes[@]}"; do
    if [[ $other == "$node" ]]; then continue; fi
    for cidr in "${cidrs[@]}"; do
      for address in "${addresses[@]}"; do
        if is_ipv6 "$cidr"; then
          if is_ipv6 "$address"; then docker exec "$other" ip -6 route replace "$cidr" via "$address"; fi
        elif ! is_ipv6 "$address"; then
          docker exec "$other" ip route replace "$cidr" via "$address"
        fi
      done
    done
  done
done

say 'Weir'
kubectl apply --kustomize "$here/weir"
kubectl --namespace kube-system rollout status --timeout=300s daemonset weir
kubectl wait --timeout=300s --for=condition=Ready nodes --all
kubectl --namespace kube-system rollout status --timeout=300s deployment coredns

say "${suites[*]}"
node "$here/run-specs.ts" "$programs" "$KUBECONFIG" "${#nodes[@]}" "${suites[@]}"
