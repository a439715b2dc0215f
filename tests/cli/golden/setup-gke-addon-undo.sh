#!/bin/sh
# What `dag setup gke --project=shop --region=us-east1 --signing-key=melange.rsa --csi-driver=secrets-store-gke.csi.k8s.io --undo` does.

set -eu

kubectl() { command kubectl --context=gke_shop_us-east1_dag "$@"; }

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
asks dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(name)' || gone=yes
if [ -z "$gone" ]; then
  gcloud container clusters get-credentials dag --region=us-east1 --project=shop
fi
look pod dag-secret-test -n dag-builds
look secretproviderclass melange-key -n dag-builds
look rolebinding dag-driver -n dag-builds
look role dag-driver -n dag-builds
look serviceaccount dag-driver -n dag-builds
look serviceaccount default -n dag-builds
look namespace dag-builds
run_18= &&
asks roles/secretmanager.secretAccessor,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud secrets get-iam-policy melange-signing-key --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_18=yes || :
run_16= &&
asks melange-signing-key gcloud secrets describe melange-signing-key --project=shop '--format=value(name.basename())' &&
asks dag gcloud secrets describe melange-signing-key --project=shop '--format=value(labels.managed_by)' &&
run_16=yes || :
run_15= &&
asks 'roles/iam.workloadIdentityUser,serviceAccount:shop.svc.id.goog[dag-builds/default]' gcloud iam service-accounts get-iam-policy dag-builds@shop.iam.gserviceaccount.com --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_15=yes || :
run_14= &&
asks dag-builds@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_14=yes || :
run_9= &&
asks dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(name)' &&
asks dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(resourceLabels.managed_by)' &&
run_9=yes || :
run_8= &&
asks roles/artifactregistry.reader,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud artifacts repositories get-iam-policy gcr.io --location=us --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_8=yes || :
run_7= &&
asks roles/container.defaultNodeServiceAccount,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud projects get-iam-policy shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_7=yes || :
run_6= &&
asks dag-nodes@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_6=yes || :
run_5= &&
asks DOCKER gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(format)' &&
asks dag gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(labels.managed_by)' &&
run_5=yes || :

# 1. Secret test: a pod must find the signing key
remove pod dag-secret-test -n dag-builds

# 2. SecretProviderClass melange-key: it makes a file of the secret
remove secretproviderclass melange-key -n dag-builds

# 3. Role binding: dag-driver may drive builds
remove rolebinding dag-driver -n dag-builds

# 4. Role of drivers: it allows what driving a build takes, and no more
remove role dag-driver -n dag-builds

# 5. Service account dag-driver: `dag build --detach` has a Job drive a build as this
remove serviceaccount dag-driver -n dag-builds

# 6. Identity: the service account stands for an account of the cloud
uid=$(added serviceaccount default -n dag-builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "dag-builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 7. Service account default: pods run as this account
remove serviceaccount default -n dag-builds

# 8. Pod Security level: the stricter ones forbid what bubblewrap needs
uid=$(added namespace dag-builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dag-builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 9. Namespace dag-builds: where builds run
remove namespace dag-builds

# 10. Builds may read melange-signing-key, and no other secret
if [ -n "$run_18" ]; then
gcloud secrets remove-iam-policy-binding melange-signing-key \
  --project=shop \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/secretmanager.secretAccessor
fi

# 11. Secret melange-signing-key
if [ -n "$run_16" ]; then
gcloud secrets delete melange-signing-key --project=shop --quiet
fi

# 12. Pods of service account default in dag-builds have those rights
if [ -n "$run_15" ]; then
gcloud iam service-accounts remove-iam-policy-binding dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  '--member=serviceAccount:shop.svc.id.goog[dag-builds/default]' \
  --role=roles/iam.workloadIdentityUser
fi

# 13. Account dag-builds: pods have its rights
if [ -n "$run_14" ]; then
gcloud iam service-accounts delete dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet
fi

# 14. Cluster dag: it makes nodes when builds need them, and removes them afterwards
if [ -n "$run_9" ]; then
gcloud container clusters delete dag --region=us-east1 --project=shop --quiet
fi

# 15. Nodes may pull bundles
if [ -n "$run_8" ]; then
gcloud artifacts repositories remove-iam-policy-binding gcr.io \
  --location=us \
  --project=shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/artifactregistry.reader
fi

# 16. Nodes may write logs and metrics
if [ -n "$run_7" ]; then
gcloud projects remove-iam-policy-binding shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/container.defaultNodeServiceAccount \
  --condition=None
fi

# 17. Account dag-nodes: nodes run as this account
if [ -n "$run_6" ]; then
gcloud iam service-accounts delete dag-nodes@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet
fi

# 18. Repository gcr.io/shop: bundles go there
if [ -n "$run_5" ]; then
gcloud artifacts repositories delete gcr.io --location=us --project=shop --quiet
fi
