#!/bin/sh
# What `dag setup gke --project=shop --region=us-east1 --signing-key=melange.rsa --csi-driver=secrets-store-gke.csi.k8s.io --undo` does.

kubectl() { command kubectl --context=gke_shop_us-east1_dag "$@"; }

says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}

ours() { # KIND NAME, or -f URL: is there nothing of that name that somebody else has made?
  ! kubectl get "$@" --ignore-not-found --no-headers -o 'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by' |
    grep -qvxF dag || { echo "$* is somebody else's and stays as it is"; false; }
}

# 1. Credentials in your kubeconfig
says dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(name)' &&
gcloud container clusters get-credentials dag --region=us-east1 --project=shop

# 2. Secret test: a pod must find the signing key
kubectl delete pod dag-secret-test -n default --ignore-not-found

# 3. SecretProviderClass melange-key: it makes a file of the secret
ours secretproviderclass melange-key -n default && kubectl delete secretproviderclass melange-key -n default --ignore-not-found

# 4. Identity: the service account stands for an account of the cloud
kubectl get serviceaccount default -n default >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: default
  namespace: default
EOF

# 5. Service account default: pods run as this account
ours serviceaccount default -n default && kubectl delete serviceaccount default -n default --ignore-not-found

# 6. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl get namespace default >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: default
EOF

# 7. Namespace default: where builds run
ours namespace default && kubectl delete namespace default --ignore-not-found

# 8. Builds may read melange-signing-key, and no other secret
says roles/secretmanager.secretAccessor,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud secrets get-iam-policy melange-signing-key --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud secrets remove-iam-policy-binding melange-signing-key \
  --project=shop \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/secretmanager.secretAccessor

# 9. Secret melange-signing-key
says melange-signing-key gcloud secrets describe melange-signing-key --project=shop '--format=value(name.basename())' &&
says dag gcloud secrets describe melange-signing-key --project=shop '--format=value(labels.managed_by)' &&
gcloud secrets delete melange-signing-key --project=shop --quiet

# 10. Pods of service account default in default have those rights
says 'roles/iam.workloadIdentityUser,serviceAccount:shop.svc.id.goog[default/default]' gcloud iam service-accounts get-iam-policy dag-builds@shop.iam.gserviceaccount.com --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud iam service-accounts remove-iam-policy-binding dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  '--member=serviceAccount:shop.svc.id.goog[default/default]' \
  --role=roles/iam.workloadIdentityUser

# 11. Account dag-builds: pods have its rights
says dag-builds@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
says 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
gcloud iam service-accounts delete dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet

# 12. Cluster dag: it makes nodes when builds need them, and removes them afterwards
says dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(name)' &&
says dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(resourceLabels.managed_by)' &&
gcloud container clusters delete dag --region=us-east1 --project=shop --quiet

# 13. Nodes may pull bundles
says roles/artifactregistry.reader,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud artifacts repositories get-iam-policy gcr.io --location=us --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud artifacts repositories remove-iam-policy-binding gcr.io \
  --location=us \
  --project=shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/artifactregistry.reader

# 14. Nodes may write logs and metrics
says roles/container.defaultNodeServiceAccount,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud projects get-iam-policy shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud projects remove-iam-policy-binding shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/container.defaultNodeServiceAccount \
  --condition=None

# 15. Account dag-nodes: nodes run as this account
says dag-nodes@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
says 'made by dag setup' gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
gcloud iam service-accounts delete dag-nodes@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet

# 16. Repository gcr.io/shop: bundles go there
says DOCKER gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(format)' &&
says dag gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(labels.managed_by)' &&
gcloud artifacts repositories delete gcr.io --location=us --project=shop --quiet
