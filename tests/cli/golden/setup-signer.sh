#!/bin/sh
# What `dag setup signer --context=ours --store=pvc://packages/dist --signing-key=melange.rsa --agent-image=r.example.com/dag@sha256:0000000000000000000000000000000000000000000000000000000000000000 --user=ann --node-selector=pool=keys` does.

set -eu

kubectl() { command kubectl --context=ours "$@"; }

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

# 1. Namespace dag-signer: where the signer runs, and nothing else
if ours_to_make namespace dag-signer; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: dag-signer
  labels:
    pod-security.kubernetes.io/enforce: restricted
    app.kubernetes.io/managed-by: dag
EOF
else
  echo '--signer-namespace dag-signer says that the signer shall have it; or name another one' >&2
  exit 1
fi

# 2. Isolation: what builds in dag-builds may create nothing in namespace dag-signer
for may in 'create jobs.batch' 'create cronjobs.batch' 'create pods' 'create replicationcontrollers' 'create daemonsets.apps' 'create deployments.apps' 'create replicasets.apps' 'create statefulsets.apps' 'update cronjobs.batch' 'patch cronjobs.batch' 'update replicationcontrollers' 'patch replicationcontrollers' 'update daemonsets.apps' 'patch daemonsets.apps' 'update deployments.apps' 'patch deployments.apps' 'update replicasets.apps' 'patch replicasets.apps' 'update statefulsets.apps' 'patch statefulsets.apps' 'create pods --subresource=exec' 'get pods --subresource=exec' 'create pods --subresource=attach' 'get pods --subresource=attach' 'update pods' 'patch pods' 'update pods --subresource=ephemeralcontainers' 'patch pods --subresource=ephemeralcontainers' 'get nodes --subresource=proxy' 'create nodes --subresource=proxy' 'create serviceaccounts --subresource=token' 'get secrets' 'list secrets' 'watch secrets' 'update secrets' 'patch secrets' 'create configmaps' 'update configmaps' 'patch configmaps' 'create rolebindings.rbac.authorization.k8s.io' 'update rolebindings.rbac.authorization.k8s.io' 'patch rolebindings.rbac.authorization.k8s.io' 'create clusterrolebindings.rbac.authorization.k8s.io' 'update clusterrolebindings.rbac.authorization.k8s.io' 'patch clusterrolebindings.rbac.authorization.k8s.io' 'update roles.rbac.authorization.k8s.io' 'patch roles.rbac.authorization.k8s.io' 'escalate roles.rbac.authorization.k8s.io' 'update clusterroles.rbac.authorization.k8s.io' 'patch clusterroles.rbac.authorization.k8s.io' 'escalate clusterroles.rbac.authorization.k8s.io' 'impersonate users' 'impersonate groups' 'impersonate serviceaccounts' 'create mutatingwebhookconfigurations.admissionregistration.k8s.io' 'update mutatingwebhookconfigurations.admissionregistration.k8s.io' 'patch mutatingwebhookconfigurations.admissionregistration.k8s.io' 'create mutatingadmissionpolicies.admissionregistration.k8s.io' 'update mutatingadmissionpolicies.admissionregistration.k8s.io' 'patch mutatingadmissionpolicies.admissionregistration.k8s.io' 'update secretproviderclasses.secrets-store.csi.x-k8s.io' 'patch secretproviderclasses.secrets-store.csi.x-k8s.io'; do
  case $(kubectl auth can-i $may -n dag-signer --as=system:serviceaccount:dag-builds:default) in
    no*) ;;
    *) echo "$may: system:serviceaccount:dag-builds:default may do this in namespace dag-signer, so the key is not apart. Take that right away, or give the signer another namespace" >&2; exit 1 ;;
  esac
done

# 3. Isolation: what drives builds in dag-builds may create nothing in namespace dag-signer
for may in 'create jobs.batch' 'create cronjobs.batch' 'create pods' 'create replicationcontrollers' 'create daemonsets.apps' 'create deployments.apps' 'create replicasets.apps' 'create statefulsets.apps' 'update cronjobs.batch' 'patch cronjobs.batch' 'update replicationcontrollers' 'patch replicationcontrollers' 'update daemonsets.apps' 'patch daemonsets.apps' 'update deployments.apps' 'patch deployments.apps' 'update replicasets.apps' 'patch replicasets.apps' 'update statefulsets.apps' 'patch statefulsets.apps' 'create pods --subresource=exec' 'get pods --subresource=exec' 'create pods --subresource=attach' 'get pods --subresource=attach' 'update pods' 'patch pods' 'update pods --subresource=ephemeralcontainers' 'patch pods --subresource=ephemeralcontainers' 'get nodes --subresource=proxy' 'create nodes --subresource=proxy' 'create serviceaccounts --subresource=token' 'get secrets' 'list secrets' 'watch secrets' 'update secrets' 'patch secrets' 'create configmaps' 'update configmaps' 'patch configmaps' 'create rolebindings.rbac.authorization.k8s.io' 'update rolebindings.rbac.authorization.k8s.io' 'patch rolebindings.rbac.authorization.k8s.io' 'create clusterrolebindings.rbac.authorization.k8s.io' 'update clusterrolebindings.rbac.authorization.k8s.io' 'patch clusterrolebindings.rbac.authorization.k8s.io' 'update roles.rbac.authorization.k8s.io' 'patch roles.rbac.authorization.k8s.io' 'escalate roles.rbac.authorization.k8s.io' 'update clusterroles.rbac.authorization.k8s.io' 'patch clusterroles.rbac.authorization.k8s.io' 'escalate clusterroles.rbac.authorization.k8s.io' 'impersonate users' 'impersonate groups' 'impersonate serviceaccounts' 'create mutatingwebhookconfigurations.admissionregistration.k8s.io' 'update mutatingwebhookconfigurations.admissionregistration.k8s.io' 'patch mutatingwebhookconfigurations.admissionregistration.k8s.io' 'create mutatingadmissionpolicies.admissionregistration.k8s.io' 'update mutatingadmissionpolicies.admissionregistration.k8s.io' 'patch mutatingadmissionpolicies.admissionregistration.k8s.io' 'update secretproviderclasses.secrets-store.csi.x-k8s.io' 'patch secretproviderclasses.secrets-store.csi.x-k8s.io'; do
  case $(kubectl auth can-i $may -n dag-signer --as=system:serviceaccount:dag-builds:dag-driver) in
    no*) ;;
    *) echo "$may: system:serviceaccount:dag-builds:dag-driver may do this in namespace dag-signer, so the key is not apart. Take that right away, or give the signer another namespace" >&2; exit 1 ;;
  esac
done

# 4. Isolation: ann may create nothing in namespace dag-signer
for may in 'create jobs.batch' 'create cronjobs.batch' 'create pods' 'create replicationcontrollers' 'create daemonsets.apps' 'create deployments.apps' 'create replicasets.apps' 'create statefulsets.apps' 'update cronjobs.batch' 'patch cronjobs.batch' 'update replicationcontrollers' 'patch replicationcontrollers' 'update daemonsets.apps' 'patch daemonsets.apps' 'update deployments.apps' 'patch deployments.apps' 'update replicasets.apps' 'patch replicasets.apps' 'update statefulsets.apps' 'patch statefulsets.apps' 'create pods --subresource=exec' 'get pods --subresource=exec' 'create pods --subresource=attach' 'get pods --subresource=attach' 'update pods' 'patch pods' 'update pods --subresource=ephemeralcontainers' 'patch pods --subresource=ephemeralcontainers' 'get nodes --subresource=proxy' 'create nodes --subresource=proxy' 'create serviceaccounts --subresource=token' 'get secrets' 'list secrets' 'watch secrets' 'update secrets' 'patch secrets' 'create configmaps' 'update configmaps' 'patch configmaps' 'create rolebindings.rbac.authorization.k8s.io' 'update rolebindings.rbac.authorization.k8s.io' 'patch rolebindings.rbac.authorization.k8s.io' 'create clusterrolebindings.rbac.authorization.k8s.io' 'update clusterrolebindings.rbac.authorization.k8s.io' 'patch clusterrolebindings.rbac.authorization.k8s.io' 'update roles.rbac.authorization.k8s.io' 'patch roles.rbac.authorization.k8s.io' 'escalate roles.rbac.authorization.k8s.io' 'update clusterroles.rbac.authorization.k8s.io' 'patch clusterroles.rbac.authorization.k8s.io' 'escalate clusterroles.rbac.authorization.k8s.io' 'impersonate users' 'impersonate groups' 'impersonate serviceaccounts' 'create mutatingwebhookconfigurations.admissionregistration.k8s.io' 'update mutatingwebhookconfigurations.admissionregistration.k8s.io' 'patch mutatingwebhookconfigurations.admissionregistration.k8s.io' 'create mutatingadmissionpolicies.admissionregistration.k8s.io' 'update mutatingadmissionpolicies.admissionregistration.k8s.io' 'patch mutatingadmissionpolicies.admissionregistration.k8s.io' 'update secretproviderclasses.secrets-store.csi.x-k8s.io' 'patch secretproviderclasses.secrets-store.csi.x-k8s.io'; do
  case $(kubectl auth can-i $may -n dag-signer --as=ann) in
    no*) ;;
    *) echo "$may: ann may do this in namespace dag-signer, so the key is not apart. Take that right away, or give the signer another namespace" >&2; exit 1 ;;
  esac
done

# 5. Service account: it may do nothing in the cluster
if ours_to_make serviceaccount dag-signer -n dag-signer; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: dag-signer
  namespace: dag-signer
  labels:
    app.kubernetes.io/managed-by: dag
automountServiceAccountToken: false
EOF
fi

# 6. Secret: the key that signs
if ours_to_make secret dag-signer -n dag-signer; then
  kubectl create secret generic dag-signer -n dag-signer --from-file=melange.rsa=melange.rsa --dry-run=client -o yaml |
    kubectl label --local -f - app.kubernetes.io/managed-by=dag -o yaml |
    kubectl apply --server-side --field-manager=dag -f -
fi

# 7. Trust: the public halves of the keys of those who drive builds
if ours_to_make configmap dag-signer -n dag-signer; then
others=$(kubectl get configmap dag-signer -n dag-signer --ignore-not-found -o 'go-template={{range $name, $text := .data}}{{printf "  %q: %q\n" $name $text}}{{end}}')
others=$(printf '%s\n' "$others" | grep -vF -e '"312c475659a823f5b345c82ac5037f84.pub"' || :)
{ cat <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata:
  name: dag-signer
  namespace: dag-signer
  labels:
    app.kubernetes.io/managed-by: dag
data:
  "312c475659a823f5b345c82ac5037f84.pub": |
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtsWq48miVQ/nMXv9jQcY
    YAL6EkpU1P8RCheP2pe9wpzWggMO0s/Vzy5SDfC3SVNXhpqzrIU/I5FK70yI8Hgg
    Nnyi8R66dIBXEW9Wj37GTCMePQlL0kFxTi8YfK5LhEF+aI4JHWMvC1jYQsJEeZnL
    FZAW4hJais75HdqhtHqtNsAvTrtk3r6MJUkJtQTZTtuZgN66qFGY64VbNQCBe55p
    ysdvAClyJc3rU9kLuwrb0GGWaMNFwVPyWthjk8XHzeLeHL0a0IOuJxQxV4tK4yHG
    9r3tN2HSrpCm5jgmufF/UL8OQennVVzQg/9FRRaiOELhoznqIP40aW73EJq4Sv+V
    owIDAQAB
    -----END PUBLIC KEY-----
EOF
printf '%s\n' "$others"; } | kubectl apply --server-side --field-manager=dag -f -
echo 'it trusts these engines:' 312c475659a823f5b345c82ac5037f84.pub
if [ -n "$others" ]; then
  echo 'and, as before:'
  printf '%s\n' "$others" | cut -d '"' -f 2
  echo '`sha256sum engine.rsa.pub` of an engine begins as its name here; --replace-engines no longer trusts those that were trusted before'
fi
else
  echo 'whom the signer trusts would be up to whoever made it; delete it, and run this again' >&2
  exit 1
fi

# 8. Network policy: the signer reaches its store, if the cluster enforces policies
if ours_to_make networkpolicy dag-signer -n dag-signer; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dag-signer
  namespace: dag-signer
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  podSelector: {}
  policyTypes:
  - Ingress
  - Egress
EOF
fi

# 9. Test: a pod must find the key and the store
ours_to_make pod dag-signer-test -n dag-signer || exit 1
remove pod dag-signer-test -n dag-signer
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Pod
metadata:
  name: dag-signer-test
  namespace: dag-signer
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  restartPolicy: Never
  serviceAccountName: dag-signer
  automountServiceAccountToken: false
  enableServiceLinks: false
  nodeSelector:
    kubernetes.io/arch: amd64
    pool: keys
  securityContext:
    fsGroup: 65532
  containers:
  - name: agent
    image: r.example.com/dag@sha256:0000000000000000000000000000000000000000000000000000000000000000
    args:
    - sign
    - "--store=/dag-store/dist"
    - "--state=/dag-agent"
    - "--key=/var/secrets/melange.rsa"
    - "--public-name=melange.rsa.pub"
    - "--engines=/etc/dag/engines"
    - "--check"
    env:
    - name: TMPDIR
      value: /dag-agent
    securityContext:
      runAsUser: 65532
      runAsGroup: 65532
      runAsNonRoot: true
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities:
        drop:
        - ALL
      seccompProfile:
        type: RuntimeDefault
    resources:
      requests:
        cpu: "100m"
        memory: "256Mi"
        ephemeral-storage: "1Gi"
    volumeMounts:
    - name: key
      mountPath: /var/secrets
      readOnly: true
    - name: engines
      mountPath: /etc/dag/engines
      readOnly: true
    - name: agent
      mountPath: /dag-agent
    - name: store
      mountPath: /dag-store
  volumes:
  - name: key
    secret:
      secretName: dag-signer
      defaultMode: 288
  - name: engines
    configMap:
      name: dag-signer
  - name: agent
    emptyDir: {}
  - name: store
    persistentVolumeClaim:
      claimName: packages
EOF
kubectl wait pod dag-signer-test -n dag-signer --for=jsonpath={.status.phase}=Succeeded --timeout=300s || { kubectl describe pod dag-signer-test -n dag-signer; exit 1; }
remove pod dag-signer-test -n dag-signer

# 10. CronJob dag-signer: it answers requests of builds
if ours_to_make cronjob dag-signer -n dag-signer; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: batch/v1
kind: CronJob
metadata:
  name: dag-signer
  namespace: dag-signer
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  schedule: "* * * * *"
  concurrencyPolicy: Forbid
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 1
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 3600
      template:
        spec:
          restartPolicy: Never
          serviceAccountName: dag-signer
          automountServiceAccountToken: false
          enableServiceLinks: false
          nodeSelector:
            kubernetes.io/arch: amd64
            pool: keys
          securityContext:
            fsGroup: 65532
          containers:
          - name: agent
            image: r.example.com/dag@sha256:0000000000000000000000000000000000000000000000000000000000000000
            args:
            - sign
            - "--store=/dag-store/dist"
            - "--state=/dag-agent"
            - "--key=/var/secrets/melange.rsa"
            - "--public-name=melange.rsa.pub"
            - "--engines=/etc/dag/engines"
            env:
            - name: TMPDIR
              value: /dag-agent
            securityContext:
              runAsUser: 65532
              runAsGroup: 65532
              runAsNonRoot: true
              readOnlyRootFilesystem: true
              allowPrivilegeEscalation: false
              capabilities:
                drop:
                - ALL
              seccompProfile:
                type: RuntimeDefault
            resources:
              requests:
                cpu: "100m"
                memory: "256Mi"
                ephemeral-storage: "1Gi"
            volumeMounts:
            - name: key
              mountPath: /var/secrets
              readOnly: true
            - name: engines
              mountPath: /etc/dag/engines
              readOnly: true
            - name: agent
              mountPath: /dag-agent
            - name: store
              mountPath: /dag-store
          volumes:
          - name: key
            secret:
              secretName: dag-signer
              defaultMode: 288
          - name: engines
            configMap:
              name: dag-signer
          - name: agent
            emptyDir: {}
          - name: store
            persistentVolumeClaim:
              claimName: packages
EOF
fi

echo '--isolation privileged: a step that leaves its pod has its whole node, so it can read the signer'"'"'s key if the signer runs there, too. Keep the two on different nodes, or build with --isolation userns'
echo 'builds go where `dag build` is told: give it the flags below, or write them into dag.toml'
echo 'ready: dag build --sign=apart'
