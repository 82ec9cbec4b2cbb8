"""SNS and SQS as moto plays them, which computes every signature again and refuses what is not signed right."""

import json
import logging

import boto3
import requests
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)

REGION = "eu-central-1"


def check(bench):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    base = f"http://127.0.0.1:{port}"
    make = lambda service: boto3.client(service, region_name=REGION, endpoint_url=base, aws_access_key_id="root",
                                        aws_secret_access_key="root")
    sns, sqs, iam = make("sns"), make("sqs"), make("iam")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queues = {name: sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
              for name, attributes in [("heard", {}), ("direct", {}), ("order.fifo", {"FifoQueue": "true"})]}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:heard")
    iam.create_user(UserName="amzctl")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sns:*", "sqs:*"], "Resource": "*"}]}
    iam.put_user_policy(UserName="amzctl", PolicyName="all", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName="amzctl")["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}

    def signed(service):
        return boto3.client(service, region_name=REGION, endpoint_url=base, aws_access_key_id=made["AccessKeyId"],
                            aws_secret_access_key=made["SecretAccessKey"])

    sqs = signed("sqs")
    # From here on every request has to be signed by somebody who may.
    requests.post(f"{base}/moto-api/reset-auth", data=b"0", timeout=10)
    section = f"""
[channels.topic]
type = "sns"
topic_arn = "{topic}"
base_url = "{base}"
allow_private = true

[channels.queue]
type = "sqs"
queue_url = "{queues['direct']}"
region = "{REGION}"
allow_private = true

[channels.order]
type = "sqs"
queue_url = "{queues['order.fifo']}"
region = "{REGION}"
allow_private = true
"""
    bench.configure(section, **keys)
    for name in ("topic", "queue", "order"):
        bench.expect(0, "alert", "test-channel", name)

    def received(name):
        answer = sqs.receive_message(QueueUrl=queues[name], MessageAttributeNames=["All"], AttributeNames=["All"])
        return answer.get("Messages", [])

    (told,) = received("heard")
    notification = json.loads(told["Body"])
    assert json.loads(notification["Message"])["event_type"] == "channel.test", notification
    assert notification["MessageAttributes"]["event_type"]["Value"] == "channel.test"
    (told,) = received("direct")
    body = json.loads(told["Body"])
    assert body["event_type"] == "channel.test"
    assert told["MessageAttributes"]["message_id"]["StringValue"] == body["event_id"]
    (told,) = received("order.fifo")
    assert told["Attributes"]["MessageDeduplicationId"] == json.loads(told["Body"])["event_id"]

    wrong = {**keys, "AWS_SECRET_ACCESS_KEY": "wrong-" + keys["AWS_SECRET_ACCESS_KEY"][6:]}
    for variables in (wrong, {**keys, "AWS_ACCESS_KEY_ID": "AKIAUNKNOWN000000000"}, {}):
        bench.configure(section, **variables)
        for name in ("topic", "queue"):
            bench.expect(12, "alert", "test-channel", name)
    server.stop()
