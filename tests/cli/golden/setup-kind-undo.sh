#!/bin/sh
# What `dag setup kind --binfmt --undo` does.

kubectl() { command kubectl --context=kind-dag "$@"; }

says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}

ours() { # KIND NAME, or -f URL: is there nothing of that name that somebody else has made?
  ! kubectl get "$@" --ignore-not-found --no-headers -o 'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by' |
    grep -qvxF dag || { echo "$* is somebody else's and stays as it is"; false; }
}

# 1. Credentials in your kubeconfig
says dag kind get clusters &&
kind export kubeconfig --name=dag

# 2. Emulation: builds for one architecture run on nodes of another
ours daemonset dag-binfmt -n default && kubectl delete daemonset dag-binfmt -n default --ignore-not-found

# 3. Service account default: pods run as this account
ours serviceaccount default -n default && kubectl delete serviceaccount default -n default --ignore-not-found

# 4. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl get namespace default >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: default
EOF

# 5. Namespace default: where builds run
ours namespace default && kubectl delete namespace default --ignore-not-found

# 6. Announcement: other tools find the registry by it
ours configmap local-registry-hosting -n kube-public && kubectl delete configmap local-registry-hosting -n kube-public --ignore-not-found

# 7. Cluster dag
says dag kind get clusters &&
says 'made by dag setup' docker exec dag-control-plane cat /etc/made-by &&
kind delete cluster --name=dag

# 8. Registry: bundles go there, and only this machine reaches it
says /kind-registry docker inspect '--format={{.Name}}' kind-registry &&
says dag docker inspect '--format={{index .Config.Labels "managed-by"}}' kind-registry &&
docker rm --force --volumes kind-registry
