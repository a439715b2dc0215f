#!/bin/sh
# What `dag setup kind --binfmt --undo` does.

set -eu

kubectl() { command kubectl --context=kind-dag "$@"; }

asks() { # LINE COMMAND…: does it print that line? Without an answer this script ends.
  line=$1; shift
  if said=$("$@" 2>&1); then
    printf '%s\n' "$said" | grep -qxFe "$line"
  elif [ $? -lt 126 ] && printf '%s\n' "$said" | grep -qiE 'not.?found|no such|does not exist|unknown service account|has not been used|SERVICE_DISABLED'; then
    false # an answer, too: there is no such thing
  else
    echo "whose it is cannot be seen, so nothing is deleted: $*: $said" >&2
    exit 1
  fi
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
asks dag kind get clusters || gone=yes
if [ -z "$gone" ]; then
  kind export kubeconfig --name=dag
fi
look daemonset dag-binfmt -n dag-builds
look rolebinding dag-driver -n dag-builds
look role dag-driver -n dag-builds
look serviceaccount dag-driver -n dag-builds
look serviceaccount default -n dag-builds
look namespace dag-builds
look configmap local-registry-hosting -n kube-public
run_2= &&
asks dag kind get clusters &&
asks 'made by dag setup' docker exec dag-control-plane cat /etc/made-by &&
run_2=yes || :
run_0= &&
asks /kind-registry docker inspect '--format={{.Name}}' kind-registry &&
asks dag docker inspect '--format={{index .Config.Labels "managed-by"}}' kind-registry &&
run_0=yes || :

# 1. Emulation: builds for one architecture run on nodes of another
remove daemonset dag-binfmt -n dag-builds

# 2. Role binding: dag-driver may drive builds
remove rolebinding dag-driver -n dag-builds

# 3. Role of drivers: it allows what driving a build takes, and no more
remove role dag-driver -n dag-builds

# 4. Service account dag-driver: `dag build --detach` has a Job drive a build as this
remove serviceaccount dag-driver -n dag-builds

# 5. Service account default: pods run as this account
remove serviceaccount default -n dag-builds

# 6. Pod Security level: the stricter ones forbid what bubblewrap needs
uid=$(added namespace dag-builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dag-builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 7. Namespace dag-builds: where builds run
remove namespace dag-builds

# 8. Announcement: other tools find the registry by it
remove configmap local-registry-hosting -n kube-public

# 9. Cluster dag
if [ -n "$run_2" ]; then
kind delete cluster --name=dag
fi

# 10. Registry: bundles go there, and only this machine reaches it
if [ -n "$run_0" ]; then
docker rm --force --volumes kind-registry
fi
