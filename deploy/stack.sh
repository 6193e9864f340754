#!/usr/bin/env bash
# Usage: deploy/stack.sh --stack NAME --bucket BUCKET --worker-image URI [--packaging zip|layer|image] [--arch x86_64|arm64]
#                        [--function-image URI] [--size small|large] [--set PARAMETER=VALUE]… [--dry-run]
# Deploys the templates and packages that `make package` made of an application: uploads the packages, each named by its
# content, then creates or changes the CloudFormation stack. --set gives one of its parameters a value; a parameter that
# is not named keeps the value it has. Each command is shown before it runs; --dry-run only shows them.
. "$(dirname "$0")/lib.sh"

packaging=zip arch=x86_64 size='' stack='' bucket='' worker_image='' function_image='' parameters=()
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) DRY_RUN=1 && shift && continue ;;
        -h | --help) sed -n '2,6s/^# //p' "$0" && exit ;;
        --stack | --bucket | --worker-image | --packaging | --arch | --function-image | --size | --set)
            [ $# -ge 2 ] || fail "$1 needs a value."
            ;;
        *) fail "there is no option '$1'; see deploy/stack.sh --help." ;;
    esac
    case $1 in
        --stack) stack=$2 ;;
        --bucket) bucket=$2 ;;
        --worker-image) worker_image=$2 ;;
        --packaging) packaging=$2 ;;
        --arch) arch=$2 ;;
        --function-image) function_image=$2 ;;
        --size) size=$2 ;;
        --set) parameters+=("$2") ;;
    esac
    shift 2
done
[ -n "$stack" ] || fail "name the stack: --stack NAME"
[ -n "$bucket" ] || fail "name a bucket for the packages: --bucket BUCKET (aws s3 mb s3://… makes one)"
[ -n "$worker_image" ] || fail "name the worker's image, pushed to a registry: --worker-image URI (docs/deploy.md, step 2)"
case $arch in x86_64) suffix='' ;; arm64) suffix=-arm64 ;; *) fail "--arch is '$arch'; give x86_64 or arm64." ;; esac
case $packaging in
    zip) files=("dist/lambda-package$suffix.zip") ;;
    layer) files=(dist/lambda-function.zip "dist/layer$suffix.zip") ;;
    image)
        files=()
        [ -n "$function_image" ] || fail "--packaging image needs the function's image, pushed to ECR: --function-image URI"
        parameters+=("FunctionImage=$function_image")
        ;;
    *) fail "--packaging is '$packaging'; give zip, layer or image." ;;
esac
need_tools aws sha256sum
need_package dist/deploy/template.yaml dist/openapi.json dist/openapi-jwt.json "${files[@]}"
need_credentials

# A parameter that is not named here keeps its value; on the first deployment it gets the template's default.
parameters+=(${size:+"Size=$size"} "Packaging=$packaging" "Architecture=$arch" "WorkerImage=$worker_image")
names=(FunctionKey LayerKey)
for n in "${!files[@]}"; do
    key=$(key_of "${files[n]}")
    there aws s3api head-object --bucket "$bucket" --key "$key" || run aws s3 cp --only-show-errors "${files[n]}" "s3://$bucket/$key"
    parameters+=("${names[n]}=$key")
done
[ ${#files[@]} -eq 0 ] || parameters+=("Artifacts=$bucket")

# Uploads the nested templates and the API's definition, and writes a template that names them in the bucket.
run aws cloudformation package --template-file dist/deploy/template.yaml --s3-bucket "$bucket" --s3-prefix "durable-lambda/$stack" \
    --output-template-file dist/packaged.yaml
run aws cloudformation deploy --stack-name "$stack" --template-file dist/packaged.yaml --s3-bucket "$bucket" \
    --s3-prefix "durable-lambda/$stack" --no-fail-on-empty-changeset \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --tags application=durable-lambda "stack=$stack" \
    --parameter-overrides "${parameters[@]}"
run aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs' --output table
