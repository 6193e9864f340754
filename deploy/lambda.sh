#!/usr/bin/env bash
# Usage: deploy/lambda.sh --resonate-url URL --buckets DOCUMENTS,WORK,RESULTS [--name document-processor]
#                         [--packaging zip|layer] [--arch x86_64|arm64] [--worker-group worker] [--memory 512]
#                         [--token-file secrets/own/resonate_token_function] [--jwt-issuer https://… --jwt-audience a,b]
#                         [--subnets a,b --security-groups c] [--dry-run]
# The function and its HTTP API with the AWS CLI alone, for those without CloudFormation: role, function, layer, routes
# from api/openapi.yaml (with an issuer and an audience they ask for its tokens). Run again, it changes what is there. Each
# command is shown before it runs; --dry-run only shows.
# The Resonate server and the workers are elsewhere (deploy/compose.prod.yaml); URL is where the function reaches them.
. "$(dirname "$0")/lib.sh"

name=document-processor packaging=zip arch=x86_64 group=worker memory=512 token_file='' url='' buckets='' subnets='' groups='' issuer='' audience=''
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) DRY_RUN=1 && shift && continue ;;
        -h | --help) sed -n '2,9s/^# //p' "$0" && exit ;;
        --resonate-url | --buckets | --name | --packaging | --arch | --worker-group | --memory | --token-file | --subnets | --security-groups | --jwt-issuer | --jwt-audience)
            [ $# -ge 2 ] || fail "$1 needs a value."
            ;;
        *) fail "there is no option '$1'; see deploy/lambda.sh --help." ;;
    esac
    case $1 in
        --resonate-url) url=$2 ;;
        --buckets) buckets=$2 ;;
        --name) name=$2 ;;
        --packaging) packaging=$2 ;;
        --arch) arch=$2 ;;
        --worker-group) group=$2 ;;
        --memory) memory=$2 ;;
        --token-file) token_file=$2 ;;
        --jwt-issuer) issuer=$2 ;;
        --jwt-audience) audience=$2 ;;
        --subnets) subnets=$2 ;;
        --security-groups) groups=$2 ;;
    esac
    shift 2
done
case $url in
    http://* | https://*) ;;
    '') fail "where is the Resonate server? --resonate-url https://…" ;;
    *) fail "--resonate-url is '$url'; it begins with http:// or https://." ;;
esac
IFS=, read -r documents work results more <<<"$buckets"
[ -n "${results-}" ] && [ -z "${more-}" ] || fail "name the three buckets: --buckets DOCUMENTS,WORK,RESULTS"
[ -z "$token_file" ] || [ -s "$token_file" ] || fail "--token-file $token_file cannot be read, or is empty."
[ -z "$subnets" ] || [ -n "$groups" ] || fail "--subnets needs --security-groups."
# They go into JSON as they are.
plain='[A-Za-z0-9._~:/@+-]+'
[ -z "$issuer" ] || [[ $issuer =~ ^https://$plain$ ]] || fail "--jwt-issuer is '$issuer'; it begins with https://."
[ -z "$audience" ] || [[ $audience =~ ^$plain(,$plain)*$ ]] || fail "--jwt-audience is '$audience'; give names with commas between."
[ -n "$issuer" ] && [ -n "$audience" ] || [ -z "$issuer$audience" ] || fail "--jwt-issuer and --jwt-audience belong together."
case $arch in x86_64) suffix='' ;; arm64) suffix=-arm64 ;; *) fail "--arch is '$arch'; give x86_64 or arm64." ;; esac
case $packaging in
    zip) code=dist/lambda-package$suffix.zip layer='' ;;
    layer) code=dist/lambda-function.zip layer=dist/layer$suffix.zip ;;
    *) fail "--packaging is '$packaging'; give zip or layer (an image goes through deploy/stack.sh)." ;;
esac
need_tools aws sed
definition=dist/openapi${issuer:+-jwt}.json
need_package "$code" ${layer:+"$layer"} "$definition"
need_credentials

# ---------------------------------------------------------------- role
role=$name-role
policy=arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole
[ -z "$subnets" ] || policy=arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole
if ! there aws iam get-role --role-name "$role"; then
    run aws iam create-role --role-name "$role" --assume-role-policy-document \
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}' --query Role.Arn --output text
    run aws iam wait role-exists --role-name "$role"
fi
run aws iam attach-role-policy --role-name "$role" --policy-arn "$policy"

# ---------------------------------------------------------------- function
layers=()
if [ -n "$layer" ]; then
    layers=(--layers "$(ask "arn:aws:lambda:$REGION:$ACCOUNT:layer:$name:1" aws lambda publish-layer-version \
        --layer-name "$name" --zip-file "fileb://$layer" --compatible-runtimes python3.13 --compatible-architectures "$arch" \
        --query LayerVersionArn --output text)")
fi
configuration=(--function-name "$name" --runtime python3.13 --handler lambda_function.lambda_handler
    --role "arn:aws:iam::$ACCOUNT:role/$role" --timeout 30 --memory-size "$memory" "${layers[@]}"
    --environment "Variables={RESONATE_URL=$url,WORKER_GROUP=$group,DOCUMENTS_BUCKET=$documents,WORK_BUCKET=$work,RESULTS_BUCKET=$results${token_file:+,RESONATE_TOKEN=$(<"$token_file")}}")
[ -z "$subnets" ] || configuration+=(--vpc-config "SubnetIds=$subnets,SecurityGroupIds=$groups")
output=(--query LastUpdateStatus --output text)
if there aws lambda get-function --function-name "$name"; then
    # Two changes, so for a second or two configuration and layer are newer than the code; deploy/stack.sh has no such gap.
    run aws lambda update-function-configuration "${configuration[@]}" "${output[@]}"
    run aws lambda wait function-updated-v2 --function-name "$name"
    run aws lambda update-function-code --function-name "$name" --architectures "$arch" --zip-file "fileb://$code" "${output[@]}"
    run aws lambda wait function-updated-v2 --function-name "$name"
else
    # A role is known everywhere only after some seconds; Lambda refuses it until then, and is asked again.
    for try in 1 2 3 4 5 6; do
        run aws lambda create-function "${configuration[@]}" --architectures "$arch" --zip-file "fileb://$code" --query State --output text && break
        [ "$try" -lt 6 ] || fail "Lambda did not take the function; its answer is above."
        run sleep 5
    done
    run aws lambda wait function-active-v2 --function-name "$name"
fi
version=$(ask 1 aws lambda publish-version --function-name "$name" --query Version --output text)

# ---------------------------------------------------------------- HTTP API
function_arn=arn:aws:lambda:$REGION:$ACCOUNT:function:$name
# The document as API Gateway imports it: the function's ARN, issuer and audience in place of CloudFormation's functions.
invoked=arn:aws:apigateway:$REGION:lambda:path/2015-03-31/functions/$function_arn/invocations
tr '\n' ' ' <"$definition" | sed -E "s#\"uri\": *\{ *\"Fn::Sub\": *\"[^\"]*\" *\}#\"uri\": \"$invoked\"#
    s#\{ *\"Ref\": *\"JwtIssuer\" *\}#\"$issuer\"#
    s#\{ *\"Ref\": *\"JwtAudience\" *\}#[\"${audience//,/\", \"}\"]#" >dist/api.json
grep -q "$invoked" dist/api.json || fail "$definition names no integration of the function; run make package again."
api=$(ask '' aws apigatewayv2 get-apis --query "Items[?Name=='durable-lambda'].ApiId | [0]" --output text)
if [ -z "$api" ] || [ "$api" = None ]; then
    api=$(ask api123 aws apigatewayv2 import-api --body file://dist/api.json --query ApiId --output text)
    # shellcheck disable=SC2016  # the stage's name
    run aws apigatewayv2 create-stage --api-id "$api" --stage-name '$default' --auto-deploy --query StageName --output text
    run aws lambda add-permission --function-name "$name" --statement-id http-api --action lambda:InvokeFunction \
        --principal apigateway.amazonaws.com --source-arn "arn:aws:execute-api:$REGION:$ACCOUNT:$api/*" --query Statement --output text
else
    run aws apigatewayv2 reimport-api --api-id "$api" --body file://dist/api.json --query ApiId --output text
fi
printf '\nVersion %s of %s answers at https://%s.execute-api.%s.amazonaws.com\n' "$version" "$name" "$api" "$REGION"
