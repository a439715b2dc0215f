#!/bin/sh
# What `dag setup cluster --context=ours --kubeconfig=/etc/kube/config --namespace=builds --service-account=builder --annotation=eks.amazonaws.com/role-arn=arn:aws:iam::1:role/dag --group=builders --user=ann --secret-key --project=shop --arm --close-network --reach=10.1.2.0/24 --reach=10.1.2.3 --undo` does.

set -eu

export KUBECONFIG=/etc/kube/config

kubectl() { command kubectl --context=ours "$@"; }

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

ours() { # KIND NAME, or -f URL: the path, UID and version of each that dag has made
  rows=$(see "$@") || exit 1
  printf '%s\n' "$rows" | while read -r owner uid version api kind namespace name managers; do
    case $owner:,$managers, in
      :*) continue ;;
      dag:*,dag,*) ;;
      *) echo "$* is somebody else's and stays as it is" >&2; continue ;;
    esac
    case $api in */*) root=/apis/$api ;; *) root=/api/$api ;; esac
    [ "$namespace" = '<none>' ] || root=$root/namespaces/$namespace
    case $kind in *s) kinds=${kind}es ;; *) kinds=${kind}s ;; esac
    echo "$root/$(echo "$kinds" | tr A-Z a-z)/$name $uid $version"
  done
}

look() { # KIND NAME, or -f URL: say what is ours of it
  seen=$(ours "$@")
  [ -z "$seen" ] || echo "this is ours and goes: $*"
}

added() { # KIND NAME: the UID of the object, if dag has added something to it
  rows=$(see "$@") || exit 1
  printf '%s\n' "$rows" | while read -r owner uid version api kind namespace name managers; do
    case ,$managers, in *,dag-setup,*) echo "$uid" ;; esac
  done
}

remove() { # KIND NAME, or -f URL: delete what dag has made of it, unless it changes meanwhile
  seen=$(ours "$@")
  printf '%s\n' "$seen" | while read -r path uid version; do
    [ -n "$path" ] || continue
    printf '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":%s}' \
      "{\"uid\":\"$uid\",\"resourceVersion\":\"$version\"}" |
      kubectl delete --raw "$path" -f - >/dev/null
    echo "deleted: $path"
    case $1 in
      namespace | pod) kubectl wait --for=delete "$@" --timeout=300s </dev/null ;;
    esac
  done
}

# Look first: a look that fails ends this script, and nothing is deleted.
look pod dag-secret-test-arm64 -n builds
look pod dag-secret-test-amd64 -n builds
look secretproviderclass melange-key -n builds
look networkpolicy dag-driver -n builds
look networkpolicy dag -n builds
look rolebinding dag -n builds
look role dag -n builds
look rolebinding dag-driver -n builds
look role dag-driver -n builds
look serviceaccount dag-driver -n builds
look serviceaccount builder -n builds
look namespace builds

# 1. Secret test: a pod on a node of arm64 must find the signing key
remove pod dag-secret-test-arm64 -n builds

# 2. Secret test: a pod on a node of amd64 must find the signing key
remove pod dag-secret-test-amd64 -n builds

# 3. SecretProviderClass melange-key: it makes a file of the secret
remove secretproviderclass melange-key -n builds

# 4. csi-secrets-store-provider-gcp on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store-provider-gcp: its toleration is removed by `kubectl edit` alone

# 5. csi-secrets-store-secrets-store-csi-driver on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store-secrets-store-csi-driver: its toleration is removed by `kubectl edit` alone

# 6. csi-secrets-store on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store: its toleration is removed by `kubectl edit` alone

# 7. Network policy of drivers: they reach the API server, and run nothing of a build
remove networkpolicy dag-driver -n builds

# 8. Network policy: builds reach public addresses, if the cluster enforces policies
remove networkpolicy dag -n builds

# 9. Role binding: ann, builders may run `dag pod`
remove rolebinding dag -n builds

# 10. Role: it allows what `dag pod` and `dag build` do, and no more
remove role dag -n builds

# 11. Role binding: dag-driver may drive builds
remove rolebinding dag-driver -n builds

# 12. Role of drivers: it allows what driving a build takes, and no more
remove role dag-driver -n builds

# 13. Service account dag-driver: `dag build --detach` has a Job drive a build as this
remove serviceaccount dag-driver -n builds

# 14. Identity: the service account stands for an account of the cloud
uid=$(added serviceaccount builder -n builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder", "namespace": "builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 15. Service account builder: pods run as this account
remove serviceaccount builder -n builds

# 16. Pod Security level: the stricter ones forbid what bubblewrap needs
uid=$(added namespace builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 17. Namespace builds: where builds run
remove namespace builds
