"""Sends a request of every kind through the proxies and checks the status; the proxies check the rest."""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

APIFY, FIRECRAWL = os.environ["APIFY_BASE_URL"], os.environ["FIRECRAWL_BASE_URL"]
SP_API, SIMULATOR = os.environ["SP_API_BASE_URL"], os.environ["SIMULATOR_URL"]
US = "ATVPDKIKX0DER"
failures = []


def call(method, url, body=None, headers=None, expect=200):
    headers = dict(headers or {})
    data = None
    if isinstance(body, dict):
        data = json.dumps(body).encode()
        headers["content-type"] = "application/json"
    elif body is not None:
        data = body.encode()
        headers["content-type"] = "application/x-www-form-urlencoded"
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        reply = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        reply = error
    text = reply.read()
    if reply.status != expect:
        failures.append(f"{method} {url}: {reply.status}, expected {expect}: {text[:600].decode(errors='replace')}")
        return {}
    return json.loads(text)


def faults(**rates):
    call("POST", f"{SIMULATOR}/_sim/faults", {"rates": {**rates, "max_attempts": 1} if rates else {}})


def products(marketplace, count):
    found = call("GET", f"{SIMULATOR}/_sim/products?marketplace={marketplace}&count={count}")
    return found["existing"], found["missing"][:2]


def apify(existing, missing):
    auth = {"authorization": "Bearer apify_api_simulated"}
    for actor, shape in [
        ("axesso_data~amazon-product-details-scraper", lambda urls: {"urls": urls}),
        ("junglee~free-amazon-product-scraper", lambda urls: {"categoryOrProductUrls": [{"url": u} for u in urls]}),
    ]:
        urls = [f"https://www.amazon.com/dp/{asin}" for asin in existing + missing]
        start = f"{APIFY}/v2/actors/{actor}/runs"
        run = call("POST", f"{start}?memory=1024&timeout=300&maxItems=100", shape(urls), auth, 201).get("data", {})
        for _ in range(2):
            call("GET", f"{APIFY}/v2/actor-runs/{run.get('id')}?waitForFinish=1", headers=auth)
        items = f"{APIFY}/v2/datasets/{run.get('defaultDatasetId')}/items?format=json&clean=true"
        assert len(call("GET", f"{items}&offset=0&limit=500", headers=auth)) == len(urls)
        call("GET", f"{APIFY}/v2/actor-runs/{run.get('id')}/dataset/items?offset=2&limit=3", headers=auth)
        store = run.get("defaultKeyValueStoreId")
        call("GET", f"{APIFY}/v2/key-value-stores/{store}/records/INPUT", headers=auth)
        call("GET", f"{start}?desc=true&limit=10", headers=auth)
        other = call("POST", start, shape(urls[:1]), auth, 201).get("data", {})
        call("POST", f"{APIFY}/v2/actor-runs/{other.get('id')}/abort", headers=auth)
        call("POST", start, {"nothing": []}, auth, 400)
    for path in ["me", "me/limits", "me/usage/monthly"]:
        call("GET", f"{APIFY}/v2/users/{path}", headers=auth)
    call("GET", f"{APIFY}/v2/actor-runs/unknown", headers=auth, expect=404)
    call("GET", f"{APIFY}/v2/users/me", headers={"authorization": "Bearer wrong"}, expect=401)
    faults(rate_limited=1.0)
    call("GET", f"{APIFY}/v2/datasets/{run.get('defaultDatasetId')}/items", headers=auth, expect=429)
    faults()


def firecrawl(existing, missing):
    auth = {"authorization": "Bearer fc-simulated"}
    options = {
        "formats": ["rawHtml", "markdown", "links", "html"], "onlyMainContent": False, "maxAge": 0, "timeout": 30000,
        "proxy": "basic", "location": {"country": "US", "languages": ["en-US"]},
    }
    for asin in existing[:3] + missing:
        call("POST", f"{FIRECRAWL}/v1/scrape", {"url": f"https://www.amazon.com/dp/{asin}", **options}, auth)
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "price": {"type": "string"}}}
    extract = {"url": f"https://www.amazon.de/dp/{existing[0]}", "formats": ["json"], "jsonOptions": {"schema": schema}}
    call("POST", f"{FIRECRAWL}/v1/scrape", extract, auth)
    urls = [f"https://www.amazon.com/dp/{asin}" for asin in existing]
    job = call("POST", f"{FIRECRAWL}/v1/batch/scrape", {"urls": urls, **options}, auth).get("id")
    for query in ["", "", "?skip=10"]:
        call("GET", f"{FIRECRAWL}/v1/batch/scrape/{job}{query}", headers=auth)
    call("GET", f"{FIRECRAWL}/v1/batch/scrape/{job}/errors", headers=auth)
    call("DELETE", f"{FIRECRAWL}/v1/batch/scrape/{job}", headers=auth)
    call("GET", f"{FIRECRAWL}/v1/team/credit-usage", headers=auth)
    faults(captcha=1.0)
    call("POST", f"{FIRECRAWL}/v1/scrape", {"url": urls[5], **options}, auth)
    faults(rate_limited=1.0)
    call("POST", f"{FIRECRAWL}/v1/scrape", {"url": urls[6], **options}, auth, 429)
    faults()


def sp_api(existing, missing):
    form = {
        "grant_type": "refresh_token", "refresh_token": "Atzr|simulated",
        "client_id": "amzn1.application-oa2-client.simulated", "client_secret": "amzn1.oa2-cs.v1.simulated",
    }
    token = call("POST", f"{SP_API}/auth/o2/token", urllib.parse.urlencode(form))
    call("POST", f"{SP_API}/auth/o2/token", urllib.parse.urlencode({**form, "refresh_token": "x"}), expect=400)
    auth = {"x-amz-access-token": token.get("access_token", "none")}
    sections = "attributes,classifications,dimensions,identifiers,images,productTypes,relationships,salesRanks,summaries"
    asins = ",".join((existing + missing)[:20])
    search = f"{SP_API}/catalog/2022-04-01/items?identifiers={asins}&identifiersType=ASIN&marketplaceIds={US}"
    page = call("GET", f"{search}&includedData={sections}&pageSize=10", headers=auth)
    token = page.get("pagination", {}).get("nextToken")
    call("GET", f"{search}&includedData={sections}&pageSize=10&pageToken={token}", headers=auth)
    call("GET", f"{search}&includedData=vendorDetails", headers=auth)
    item = f"{SP_API}/catalog/2022-04-01/items"
    call("GET", f"{item}/{existing[0]}?marketplaceIds={US}&includedData={sections}", headers=auth)
    call("GET", f"{item}/{missing[0]}?marketplaceIds={US}", headers=auth, expect=404)
    call("GET", f"{item}/{existing[0]}?marketplaceIds=NOWHERE", headers=auth, expect=400)
    call("GET", f"{item}/{existing[0]}?marketplaceIds={US}", headers={"x-amz-access-token": "x"}, expect=403)
    few = ",".join(existing[:18] + missing)
    price = f"{SP_API}/products/pricing/v0/competitivePrice?MarketplaceId={US}&ItemType=Asin"
    call("GET", f"{price}&Asins={few}", headers=auth)
    wanted = existing[:18] + missing

    def offers(condition, expect=200):
        requests = [
            {"uri": f"/products/pricing/v0/items/{asin}/offers", "method": "GET", "MarketplaceId": US,
             "ItemCondition": condition}
            for asin in wanted
        ]
        call("POST", f"{SP_API}/batches/products/pricing/v0/itemOffers", {"requests": requests}, auth, expect)

    def summary(expect=200):
        requests = [
            {"asin": asin, "marketplaceId": US, "method": "GET",
             "uri": "/products/pricing/2022-05-01/items/competitiveSummary",
             "includedData": ["featuredBuyingOptions", "referencePrices", "lowestPricedOffers", "similarItems"],
             "lowestPricedOffersInputs": [{"itemCondition": "New", "offerType": "Consumer"}]}
            for asin in wanted
        ]
        path = "/batches/products/pricing/2022-05-01/items/competitiveSummary"
        call("POST", SP_API + path, {"requests": requests}, auth, expect)

    offers("New")
    offers("Used")
    summary()
    faults(inner_error=1.0)
    wanted = existing[18:30] + missing
    offers("New")
    summary()
    call("GET", f"{price}&Asins={few}", headers=auth)
    faults(rate_limited=1.0)
    wanted = existing[30:33]
    offers("New", 429)
    summary(429)
    faults()
    query = f"granularityType=Marketplace&granularityId={US}&marketplaceIds={US}"
    for details in ["true", "false"]:
        summaries = f"{SP_API}/fba/inventory/v1/summaries?details={details}&{query}"
        page = call("GET", summaries, headers=auth)
        call("GET", f"{summaries}&nextToken={page.get('pagination', {}).get('nextToken')}", headers=auth)


existing, missing = products("US", 40)
apify(existing, missing)
firecrawl(existing, missing)
sp_api(existing, missing)
for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
