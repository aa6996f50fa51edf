# The image of the agent. Needs what `npm ci && npm run build` makes, in the folder that it is built in:
#   docker build --tag weir .
# For a processor other than this machine's, first `npm ci --os=linux --cpu=arm64` (or x64) and then --platform.
# `npm run image` builds it without a container engine, on a Debian of its own.
#
# Nothing runs in the image but Weir and what it starts: no package manager, no npm; a shell, because Weir starts small programs
# from one. Its user is root, which
# iptables and ipset demand; what root may do there, manifests/daemonset.yaml takes away.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS root
# Node.js needs libstdc++; netbase has /etc/protocols, from which iptables learns names.
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    conntrack dash ipset iptables kmod libstdc++6 netbase nftables
RUN --mount=type=bind,source=hack/image/root.sh,target=/root.sh \
  --mount=type=bind,source=node_modules,target=/node_modules \
  sh /root.sh /image conntrack dash ipset iptables kmod libstdc++6 netbase nftables \
  && case "$(dpkg --print-architecture)" in amd64) cpu=x64 ;; arm64) cpu=arm64 ;; esac \
  && install -D --mode=755 "/node_modules/node-linux-${cpu}/bin/node" /image/usr/local/bin/node \
  && install -D --mode=644 "/node_modules/node-linux-${cpu}/LICENSE" /image/usr/share/doc/node/copyright \
  && mkdir -p /image/usr/local/lib/weir \
  && printf '{"type":"module"}\n' >/image/usr/local/lib/weir/package.json \
  && ln -s ../lib/weir/weir.js /image/usr/local/bin/weir

FROM scratch
LABEL org.opencontainers.image.title="Weir" \
  org.opencontainers.image.description="Routes the Services of a Kubernetes node and enforces NetworkPolicy" \
  org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin
ENTRYPOINT ["/usr/local/bin/weir"]
COPY --from=root /image /
COPY LICENSE dist/weir.js* /usr/local/lib/weir/
