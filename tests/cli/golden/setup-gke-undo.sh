#!/bin/sh
# What `dag setup gke --project=shop --zone=europe-west4-a --bucket=gs://apks/wolfi --src-bucket=old --secret-key --arm --user=ann@example.com --namespace=builds --service-account=builder --undo` does.

set -eu

kubectl() { command kubectl --context=gke_shop_europe-west4-a_dag "$@"; }

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
asks dag gcloud container clusters describe dag --zone=europe-west4-a --project=shop '--format=value(name)' || gone=yes
if [ -z "$gone" ]; then
  gcloud container clusters get-credentials dag --zone=europe-west4-a --project=shop
fi
look pod dag-secret-test-arm64 -n builds
look pod dag-secret-test-amd64 -n builds
look secretproviderclass melange-key -n builds
url=https://raw.githubusercontent.com/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp/v1.15.0/deploy/provider-gcp-plugin.yaml
look -f "$url"
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store-csi-driver.yaml
look -f "$url"
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml
look -f "$url"
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml
look -f "$url"
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/csidriver.yaml
look -f "$url"
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/rbac-secretproviderclass.yaml
look -f "$url"
look rolebinding dag -n builds
look role dag -n builds
look rolebinding dag-driver -n builds
look role dag-driver -n builds
look serviceaccount dag-driver -n builds
look serviceaccount builder -n builds
look namespace builds
run_19= &&
asks roles/secretmanager.secretAccessor,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud secrets get-iam-policy melange-signing-key --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_19=yes || :
run_18= &&
asks roles/storage.objectUser,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud storage buckets get-iam-policy gs://apks '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_18=yes || :
run_16= &&
asks roles/storage.objectViewer,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud storage buckets get-iam-policy gs://old '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_16=yes || :
run_15= &&
asks 'roles/iam.workloadIdentityUser,serviceAccount:shop.svc.id.goog[builds/builder]' gcloud iam service-accounts get-iam-policy dag-builds@shop.iam.gserviceaccount.com --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_15=yes || :
run_14= &&
asks dag-builds@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
asks 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
run_14=yes || :
run_12= &&
asks arm gcloud container node-pools describe arm --cluster=dag --zone=europe-west4-a --project=shop '--format=value(name)' &&
asks dag gcloud container node-pools describe arm --cluster=dag --zone=europe-west4-a --project=shop '--format=value(config.labels.managed_by)' &&
run_12=yes || :
run_9= &&
asks dag gcloud container clusters describe dag --zone=europe-west4-a --project=shop '--format=value(name)' &&
asks dag gcloud container clusters describe dag --zone=europe-west4-a --project=shop '--format=value(resourceLabels.managed_by)' &&
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

# 7. Secrets Store CSI driver and its provider: provider-gcp-plugin.yaml
url=https://raw.githubusercontent.com/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp/v1.15.0/deploy/provider-gcp-plugin.yaml
remove -f "$url"

# 8. Secrets Store CSI driver and its provider: secrets-store-csi-driver.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store-csi-driver.yaml
remove -f "$url"

# 9. Secrets Store CSI driver and its provider: secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml
remove -f "$url"

# 10. Secrets Store CSI driver and its provider: secrets-store.csi.x-k8s.io_secretproviderclasses.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml
remove -f "$url"

# 11. Secrets Store CSI driver and its provider: csidriver.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/csidriver.yaml
remove -f "$url"

# 12. Secrets Store CSI driver and its provider: rbac-secretproviderclass.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/rbac-secretproviderclass.yaml
remove -f "$url"

# 13. Role binding: ann@example.com may run `dag pod`
remove rolebinding dag -n builds

# 14. Role: it allows what `dag pod` and `dag build` do, and no more
remove role dag -n builds

# 15. Role binding: dag-driver may drive builds
remove rolebinding dag-driver -n builds

# 16. Role of drivers: it allows what driving a build takes, and no more
remove role dag-driver -n builds

# 17. Service account dag-driver: `dag build --detach` has a Job drive a build as this
remove serviceaccount dag-driver -n builds

# 18. Identity: the service account stands for an account of the cloud
uid=$(added serviceaccount builder -n builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder", "namespace": "builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 19. Service account builder: pods run as this account
remove serviceaccount builder -n builds

# 20. Pod Security level: the stricter ones forbid what bubblewrap needs
uid=$(added namespace builds)
[ -z "$uid" ] || printf '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "builds", "uid": "%s"}}' "$uid" |
  kubectl apply --server-side --field-manager=dag-setup -f -

# 21. Namespace builds: where builds run
remove namespace builds

# 22. Builds may read melange-signing-key, and no other secret
if [ -n "$run_19" ]; then
gcloud secrets remove-iam-policy-binding melange-signing-key \
  --project=shop \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/secretmanager.secretAccessor
fi

# 23. Builds may read and write objects of gs://apks, and of no other bucket
if [ -n "$run_18" ]; then
gcloud storage buckets remove-iam-policy-binding gs://apks \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/storage.objectUser
fi

# 24. Builds may read objects of gs://old, and of no other bucket
if [ -n "$run_16" ]; then
gcloud storage buckets remove-iam-policy-binding gs://old \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/storage.objectViewer
fi

# 25. Pods of service account builder in builds have those rights
if [ -n "$run_15" ]; then
gcloud iam service-accounts remove-iam-policy-binding dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  '--member=serviceAccount:shop.svc.id.goog[builds/builder]' \
  --role=roles/iam.workloadIdentityUser
fi

# 26. Account dag-builds: pods have its rights
if [ -n "$run_14" ]; then
gcloud iam service-accounts delete dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet
fi

# 27. Arm node pool: it is empty until a build for aarch64 comes
if [ -n "$run_12" ]; then
gcloud container node-pools delete arm \
  --cluster=dag \
  --zone=europe-west4-a \
  --project=shop \
  --quiet
fi

# 28. Cluster dag: it makes nodes when builds need them, and removes them afterwards
if [ -n "$run_9" ]; then
gcloud container clusters delete dag --zone=europe-west4-a --project=shop --quiet
fi

# 29. Nodes may pull bundles
if [ -n "$run_8" ]; then
gcloud artifacts repositories remove-iam-policy-binding gcr.io \
  --location=us \
  --project=shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/artifactregistry.reader
fi

# 30. Nodes may write logs and metrics
if [ -n "$run_7" ]; then
gcloud projects remove-iam-policy-binding shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/container.defaultNodeServiceAccount \
  --condition=None
fi

# 31. Account dag-nodes: nodes run as this account
if [ -n "$run_6" ]; then
gcloud iam service-accounts delete dag-nodes@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet
fi

# 32. Repository gcr.io/shop: bundles go there
if [ -n "$run_5" ]; then
gcloud artifacts repositories delete gcr.io --location=us --project=shop --quiet
fi
