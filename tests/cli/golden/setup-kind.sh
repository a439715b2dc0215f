#!/bin/sh
# What `dag setup kind --binfmt` does.

set -eu

kubectl() { command kubectl --context=kind-dag "$@"; }

says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}

gone= # yes, if there is no cluster any more
see() { # KIND NAME, or -f URL: a line for each such object. Without an answer this script ends.
  [ -z "$gone" ] || return 0
  { said=$(kubectl get "$@" --ignore-not-found --no-headers -o \
    'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by,UID:.metadata.uid,VERSION:.metadata.resourceVersion,API:.apiVersion,KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name,MANAGERS:.metadata.managedFields[*].manager' 2>&1 >&3); } 3>&1 &&
    return
  # These are answers, too: it is not there, nor is anything of its kind.
  if printf '%s\n' "$said" | grep -qvE '\(NotFound\)|have a resource type "secretproviderclass"'; then
    echo "whose it is cannot be seen, so nothing more is done: $*: $said" >&2
    exit 1
  fi
}

ours_to_make() { # KIND NAME, or -f URL: is there none of it that somebody else has made?
  rows=$(see "$@") || exit 1
  ! printf '%s\n' "$rows" | grep -qvE '^(dag .*[ ,]dag(,.*)? *)?$' ||
    { echo "$* is somebody else's and stays as it is" >&2; false; }
}

# 1. Registry: bundles go there, and only this machine reaches it
says /kind-registry docker inspect '--format={{.Name}}' kind-registry ||
docker run \
  --detach \
  --restart=always \
  --network=bridge \
  --publish=127.0.0.1:5001:5000 \
  --name=kind-registry \
  --label=managed-by=dag \
  docker.io/library/registry:3

# 2. The registry runs
says true docker inspect '--format={{.State.Running}}' kind-registry ||
docker start kind-registry

# 3. Cluster dag
says dag kind get clusters ||
sh -c 'kind create cluster --name=dag --config=- --wait=5m &&
docker exec dag-control-plane sh -c "echo made by dag setup >/etc/made-by"
' <<'EOF'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
EOF

# 4. Credentials in your kubeconfig
kind export kubeconfig --name=dag

# 5. Registry in the nodes' network
says yes docker inspect kind-registry '--format={{if .NetworkSettings.Networks.kind}}yes{{end}}' ||
docker network connect kind kind-registry

# 6. Names of the registry on every node: it speaks plain http, and it is not on the node
says 'dag: known on every node' sh -c 'for node in $(kind get nodes --name=dag); do
  docker exec "$node" cat /etc/containerd/certs.d/localhost:5001/hosts.toml /etc/containerd/certs.d/kind-registry:5000/hosts.toml >/dev/null || exit
done
echo "dag: known on every node"
' ||
sh -c 'for node in $(kind get nodes --name=dag); do
  for directory in /etc/containerd/certs.d/localhost:5001 /etc/containerd/certs.d/kind-registry:5000; do
    docker exec "$node" mkdir -p "$directory" &&
    echo "[host.\"http://kind-registry:5000\"]" | docker exec -i "$node" cp /dev/stdin "$directory/hosts.toml" || exit
  done
done
'

# 7. Announcement: other tools find the registry by it
if ours_to_make configmap local-registry-hosting -n kube-public; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata:
  name: local-registry-hosting
  namespace: kube-public
  labels:
    app.kubernetes.io/managed-by: dag
data:
  localRegistryHosting.v1: |
    host: "localhost:5001"
    help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
EOF
fi

# 8. Namespace dag-builds: where builds run
if ours_to_make namespace dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
else
  echo '--namespace dag-builds says that builds shall have it; or name another one' >&2
  exit 1
fi

# 9. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: dag-builds
  labels:
    pod-security.kubernetes.io/enforce: privileged
EOF

# 10. Service account default: pods run as this account
if ours_to_make serviceaccount default -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: default
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 11. Service account dag-driver: `dag build --detach` has a Job drive a build as this
if ours_to_make serviceaccount dag-driver -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: dag-driver
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 12. Role of drivers: it allows what driving a build takes, and no more
if ours_to_make role dag-driver -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: dag-driver
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
rules:
- apiGroups:
  - batch
  resources:
  - jobs
  verbs:
  - create
  - get
  - list
  - watch
  - delete
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - pods/log
  verbs:
  - get
- apiGroups:
  - ""
  resources:
  - persistentvolumeclaims
  verbs:
  - get
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - get
  - create
  - patch
- apiGroups:
  - ""
  resources:
  - events
  verbs:
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - serviceaccounts
  verbs:
  - get
- apiGroups:
  - kueue.x-k8s.io
  resources:
  - localqueues
  verbs:
  - get
- apiGroups:
  - kueue.x-k8s.io
  resources:
  - workloads
  verbs:
  - list
EOF
fi

# 13. Role binding: dag-driver may drive builds
if ours_to_make rolebinding dag-driver -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: dag-driver
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: dag-driver
subjects:
- kind: ServiceAccount
  name: dag-driver
  namespace: dag-builds
EOF
fi

# 14. Emulation: builds for one architecture run on nodes of another
if ours_to_make daemonset dag-binfmt -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: dag-binfmt
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: dag-binfmt
  template:
    metadata:
      labels:
        app.kubernetes.io/name: dag-binfmt
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      nodeSelector:
        kubernetes.io/os: linux
      initContainers:
      - name: hold
        image: docker.io/library/busybox:1.36.1@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662
        command:
        - sh
        - "-c"
        - "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && while :; do sleep 86400; done"
        resources:
          requests:
            cpu: "10m"
            memory: "16Mi"
        securityContext:
          privileged: true
        restartPolicy: Always
        startupProbe:
          exec:
            command:
            - test
            - "-e"
            - /proc/sys/fs/binfmt_misc/register
          periodSeconds: 1
      - name: install
        image: docker.io/tonistiigi/binfmt@sha256:400a4873b838d1b89194d982c45e5fb3cda4593fbfd7e08a02e76b03b21166f0
        args:
        - "--install"
        - all
        resources:
          requests:
            cpu: "10m"
            memory: "16Mi"
        securityContext:
          privileged: true
      containers:
      - name: stay
        image: docker.io/library/busybox:1.36.1@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662
        command:
        - sh
        - "-c"
        - "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && while :; do sleep 86400; done"
        resources:
          requests:
            cpu: "10m"
            memory: "16Mi"
        securityContext:
          privileged: true
        readinessProbe:
          exec:
            command:
            - sh
            - "-c"
            - "ls /proc/sys/fs/binfmt_misc | grep -qvx -e register -e status"
          periodSeconds: 1
EOF
fi

echo 'builds go where `dag pod` is told: give it the flags below, or write them into dag.toml'
echo 'ready: dag pod --bundle-repo=localhost:5001/dag --namespace=dag-builds --service-account=default'
