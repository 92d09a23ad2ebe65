#!/bin/bash
# One node, from the inside: the first process of a PID namespace, with a mount and a network namespace of its own. When it ends, all of it
# ends. Who starts it is box.py; what its variables hold stands in cluster.py.
set -u
mount --make-rshared /   # kubelet and containerd hand mounts on to pods; nothing gets out, for the box itself was split off as private
mount -t tmpfs none /run
mount --bind "$DATA/lib" /var/lib
mount --bind "$DATA/log" /var/log
mount --bind "$FILES/resolv.conf" /etc/resolv.conf
for wanted in "$FILES"/sysctl/*; do
  name=${wanted##*/}
  mount --bind "$wanted" "/proc/sys/${name//.//}"
done
until ip route show default | grep -q up0; do sleep 0.02; done
echo 1 > /proc/sys/net/ipv4/ip_forward

containerd --config "$FILES/containerd.toml" > "$FILES/containerd.log" 2>&1 &
until ctr --address "$SOCKET" version > /dev/null 2>&1; do sleep 0.05; done

# What is killed comes back, as it would under a service manager; pods live on meanwhile.
while :; do
  "$KUBELET" --config="$FILES/kubelet.yaml" --kubeconfig="$FILES/node.kubeconfig" --hostname-override="$NODE" --node-ip="$ADDRESS" \
    --root-dir=/var/lib/kubelet --v=2 >> "$FILES/kubelet.log" 2>&1
  sleep 1
done &
while :; do
  "$KUBE_PROXY" --kubeconfig="$PROXY" --hostname-override="$NODE" --proxy-mode=iptables --cluster-cidr="$PODS" \
    --metrics-bind-address=127.0.0.1:10249 --healthz-bind-address=127.0.0.1:10256 \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 >> "$FILES/proxy.log" 2>&1
  sleep 1
done &
while :; do wait -n || sleep 1; done   # reaps what the shims leave
