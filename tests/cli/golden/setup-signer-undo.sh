#!/bin/sh
# What `dag setup signer --context=ours --store=pvc://packages/dist --signing-key=melange.rsa --agent-image=r.example.com/dag@sha256:0000000000000000000000000000000000000000000000000000000000000000 --user=ann --node-selector=pool=keys --undo` does.

set -eu

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
look cronjob dag-signer -n dag-signer
look pod dag-signer-test -n dag-signer
look networkpolicy dag-signer -n dag-signer
look configmap dag-signer -n dag-signer
look secret dag-signer -n dag-signer
look serviceaccount dag-signer -n dag-signer
look namespace dag-signer

# 1. CronJob dag-signer: it answers requests of builds
remove cronjob dag-signer -n dag-signer

# 2. Test: a pod must find the key and the store
remove pod dag-signer-test -n dag-signer

# 3. Network policy: the signer reaches its store, if the cluster enforces policies
remove networkpolicy dag-signer -n dag-signer

# 4. Trust: the public halves of the keys of those who drive builds
remove configmap dag-signer -n dag-signer

# 5. Secret: the key that signs
remove secret dag-signer -n dag-signer

# 6. Service account: it may do nothing in the cluster
remove serviceaccount dag-signer -n dag-signer

# 7. Namespace dag-signer: where the signer runs, and nothing else
remove namespace dag-signer
