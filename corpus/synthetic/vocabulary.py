"""The vocabulary of the synthetic traffic: phrasings and slot values by intent, in a base group and a drift group.

Drift phrasings share few words with base phrasings, so a model that was trained on the base group errs on them. Slots
are in braces; their values are listed here, or composed (time, duration, level) in `corpus.synthetic.language`. All
text is in spoken form: lower case, no punctuation, numbers as words.
"""

from __future__ import annotations

from typing import Final, Literal

Group = Literal["base", "drift"]


def listed(text: str) -> tuple[str, ...]:
    """Return the values of a comma-separated list."""
    return tuple(value.strip() for value in text.split(","))


PHRASINGS: Final[dict[str, dict[Group, tuple[str, ...]]]] = {
    "play_music": {
        "base": (
            "play {artist}",
            "play some {genre}",
            "play {song} by {artist}",
            "play me some {genre} music",
            "please play {song}",
            "start playing {artist}",
            "play the song {song}",
            "can you play {artist}",
            "play {genre} music in here",
            "play the latest by {artist}",
        ),
        "drift": (
            "i am in the mood for {genre}",
            "put on a bit of {artist}",
            "let me hear {song}",
            "give us some {genre} would you",
            "stick {artist} on",
            "i fancy listening to {artist}",
            "how about {song} from {artist}",
            "spin some {genre} for the guests",
        ),
    },
    "set_alarm": {
        "base": (
            "set an alarm for {time}",
            "set the alarm for {time}",
            "set my alarm to {time}",
            "please set an alarm at {time}",
            "can you set an alarm for {time}",
            "create an alarm for {time}",
            "i need an alarm at {time}",
            "new alarm for {time}",
        ),
        "drift": (
            "wake me at {time}",
            "get me up by {time}",
            "i have to be out of bed at {time}",
            "make sure i am awake by {time}",
            "do not let me sleep past {time}",
            "rouse the house at {time}",
        ),
    },
    "set_timer": {
        "base": (
            "set a timer for {duration}",
            "start a timer for {duration}",
            "set a {duration} timer",
            "please start a {duration} timer",
            "can you set a timer for {duration}",
            "timer for {duration}",
            "new timer {duration}",
            "i need a timer for {duration}",
        ),
        "drift": (
            "count down {duration}",
            "let me know when {duration} have gone by",
            "ping me in {duration}",
            "give a shout after {duration}",
            "the eggs need {duration}",
            "tell me once {duration} are over",
        ),
    },
    "get_weather": {
        "base": (
            "what's the weather in {place}",
            "what's the weather in {place} {day}",
            "what will the weather be like {day}",
            "weather for {place}",
            "weather forecast for {place} {day}",
            "how is the weather in {place}",
            "tell me the weather {day}",
            "what is the weather forecast for {day}",
        ),
        "drift": (
            "do i need an umbrella {day}",
            "is it going to rain in {place}",
            "will it be cold in {place} {day}",
            "should i take a coat to {place}",
            "how warm does it get {day}",
            "any chance of snow in {place} {day}",
            "is the sun coming out {day}",
        ),
    },
    "lights": {
        "base": (
            "turn {state} the lights in the {room}",
            "turn the {room} lights {state}",
            "switch {state} the {room} lights",
            "set the {room} lights to {state}",
            "turn the lights {state}",
            "please turn the {room} light {state}",
            "switch the lights in the {room} {state}",
            "can you set the lights to {state}",
        ),
        "drift": (
            "make it {state} in the {room}",
            "i can't see a thing in the {room}",
            "it is too bright in the {room}",
            "i would like the {room} a bit {state}",
            "kill the lamp in the {room}",
            "go {state} all over the {room}",
            "get the {room} lamps {state}",
        ),
    },
    "shopping_add": {
        "base": (
            "add {item} to my shopping list",
            "add {item} to the shopping list",
            "put {item} on the shopping list",
            "please add {item} to my list",
            "can you add {item} to the list",
            "add {item} and {item} to my shopping list",
            "shopping list add {item}",
            "i want to add {item} to the shopping list",
        ),
        "drift": (
            "stick some {item} on the list",
            "we are out of {item}",
            "remind me to buy {item}",
            "i must not forget the {item} at the shop",
            "we could do with more {item}",
            "pick up {item} next time",
            "there is no {item} left in the fridge",
        ),
    },
    "call_contact": {
        "base": (
            "call {contact}",
            "call {contact} please",
            "make a call to {contact}",
            "please call {contact}",
            "phone {contact}",
            "can you call {contact} for me",
            "call {contact} on the mobile",
            "start a call with {contact}",
        ),
        "drift": (
            "get me {contact} on the line",
            "give {contact} a ring",
            "i want to talk to {contact}",
            "put me through to {contact}",
            "see if {contact} picks up",
            "dial {contact} would you",
        ),
    },
    "set_volume": {
        "base": (
            "set the volume to {level}",
            "turn the volume to {level}",
            "set volume {level}",
            "change the volume to {level}",
            "please set the volume to {level}",
            "volume {level}",
            "turn the volume down to {level}",
            "turn the volume up to {level}",
        ),
        "drift": (
            "i can barely hear you go to {level}",
            "that is far too loud make it {level}",
            "a bit quieter say {level}",
            "crank it to {level}",
            "speak up to {level}",
            "bring the sound down to {level}",
        ),
    },
    "play_news": {
        "base": (
            "what's the news",
            "tell me the {topic} news",
            "play the news about {topic}",
            "give me the latest {topic} news",
            "play the {topic} news",
            "what is the latest news on {topic}",
            "read me the news",
            "news about {topic} please",
        ),
        "drift": (
            "what is happening in {topic}",
            "bring me up to date on {topic}",
            "anything going on in the world",
            "fill me in on {topic}",
            "what did i miss in {topic} today",
            "read out the {topic} headlines",
        ),
    },
    "find_recipe": {
        "base": (
            "find a recipe for {dish}",
            "find me a {dish} recipe",
            "show me a recipe for {dish}",
            "search for a {dish} recipe",
            "give me a recipe for {dish}",
            "what is a good recipe for {dish}",
            "look up a recipe for {dish}",
            "i need a recipe for {dish}",
        ),
        "drift": (
            "how do i make {dish}",
            "what goes into {dish}",
            "teach me to cook {dish}",
            "i fancy {dish} tonight how is it done",
            "walk me through {dish} step by step",
            "which ingredients does {dish} need",
        ),
    },
}

INTENTS: Final = tuple(sorted(PHRASINGS))
"""The ten intents, sorted."""

VALUES: Final[dict[str, dict[Group, tuple[str, ...]]]] = {
    "artist": {
        "base": listed(
            "the beatles, madonna, queen, miles davis, bob dylan, the rolling stones, whitney houston, david bowie,"
            "nina simone, elvis presley, stevie wonder, johnny cash, pink floyd, aretha franklin, michael jackson,"
            "fleetwood mac, bruce springsteen, tina turner, led zeppelin, dolly parton, marvin gaye, elton john"
        ),
        "drift": listed(
            "billie eilish, dua lipa, stormzy, burna boy, rosalia, arctic monkeys, kendrick lamar, little simz,"
            "bad bunny, phoebe bridgers, tame impala, olivia rodrigo, the lumineers, bonobo, christine and the queens,"
            "fontaines, khruangbin, self esteem, wet leg, mitski"
        ),
    },
    "song": {
        "base": listed(
            "yesterday, like a prayer, bohemian rhapsody, so what, hurricane, paint it black, heroes, feeling good,"
            "jailhouse rock, superstition, ring of fire, wish you were here, respect, thriller, dreams, thunder road,"
            "proud mary, kashmir, jolene, rocket man, hey jude, let it be"
        ),
        "drift": listed(
            "bad guy, levitating, ocean eyes, vossi bop, last last, do i wanna know, humble, selfish, the less i know,"
            "motion sickness, good for you, stubborn love, kerala, tilted, chaise longue, nobody, blinding lights,"
            "espresso, houdini, birds of a feather"
        ),
    },
    "genre": {
        "base": listed(
            "jazz, rock, classical, pop, country, blues, soul, folk, reggae, disco, funk, gospel, opera, swing,"
            "heavy metal, piano, guitar, dance, hip hop, christmas"
        ),
        "drift": listed(
            "grime, afrobeats, lo fi beats, shoegaze, techno, drum and bass, amapiano, synth wave, bossa nova, ska,"
            "garage, trip hop, dream pop, k pop, bluegrass, salsa, dub, house, ambient, sea shanties"
        ),
    },
    "place": {
        "base": listed(
            "london, new york, boston, chicago, paris, berlin, madrid, seattle, denver, dallas, miami, toronto, leeds,"
            "bristol, oxford, cambridge, liverpool, manchester, birmingham, atlanta, houston, portland, dublin, rome"
        ),
        "drift": listed(
            "glasgow, aberdeen, inverness, kingston, port of spain, bridgetown, wolverhampton, blackpool, preston,"
            "lancaster, dundee, stirling, nassau, hamburg, mumbai, bangalore, marseille, lyon, walsall, coventry,"
            "carlisle, oban, skye, whitby"
        ),
    },
    "day": {
        "base": listed(
            "today, tomorrow, tonight, this weekend, on monday, on tuesday, on wednesday, on thursday, on friday,"
            "on saturday, on sunday, this week, next week, this morning, this afternoon, this evening,"
            "tomorrow morning, tomorrow night, next weekend, right now"
        ),
        "drift": listed(
            "later on, after lunch, before dark, the day after tomorrow, first thing tomorrow, come friday,"
            "over the bank holiday, at half term, in a fortnight, around noon, by sunset, at dawn, mid week,"
            "all week long, on boxing day, at easter, on new years eve, once it gets dark, during the match,"
            "for the barbecue"
        ),
    },
    "room": {
        "base": listed(
            "kitchen, bedroom, living room, bathroom, hallway, garage, office, dining room, basement, garden, attic,"
            "nursery, guest room, kids room, porch, study, laundry room, front room, back room, stairs"
        ),
        "drift": listed(
            "lounge, loft, cellar, utility room, conservatory, box room, landing, downstairs loo, shed, snug, pantry,"
            "workshop, playroom, spare room, cloakroom, drive, patio, summer house, den, larder"
        ),
    },
    "state": {
        "base": listed(
            "on, off, red, blue, green, white, warm white, yellow, purple, orange, pink, ten percent, twenty percent,"
            "thirty percent, forty percent, fifty percent, sixty percent, eighty percent, full brightness, low"
        ),
        "drift": listed(
            "dark, darker, dim, dimmer, brighter, cosy, softer, lighter, gloomy, moody, turquoise, amber, lavender,"
            "half bright, nice and warm, pitch black, candle bright, sunset orange, cooler, daylight"
        ),
    },
    "item": {
        "base": listed(
            "milk, bread, eggs, butter, cheese, apples, bananas, tomatoes, onions, potatoes, coffee, tea, sugar, flour,"
            "rice, pasta, chicken, beef, fish, orange juice, toilet paper, soap, shampoo, carrots, lettuce, yogurt"
        ),
        "drift": listed(
            "oat milk, sourdough, halloumi, plantain, chickpeas, bin bags, dish tablets, cat litter, kale, hummus,"
            "brown sauce, oat cakes, crumpets, coriander, chilli flakes, nappies, washing powder, tonic water, tofu,"
            "sweet potatoes, tea bags, marmalade, ginger beer, paneer, sausages, light bulbs"
        ),
    },
    "contact": {
        "base": listed(
            "mom, dad, john, mary, sarah, michael, david, jennifer, robert, linda, james, emma, daniel, laura, peter,"
            "anna, mark, susan, paul, grandma, grandpa, the office, my wife, my husband"
        ),
        "drift": listed(
            "mum, our kid, hamish, morag, siobhan, nan, granddad, aunty joy, winston, priya, anil, klaus, margot,"
            "the dentist, the vet, the nursery, the plumber, callum, isla, kwame, the landlord, my boss, the surgery,"
            "rhys"
        ),
    },
    "topic": {
        "base": listed(
            "sports, politics, business, technology, science, health, weather, world, local, traffic, football,"
            "entertainment, finance, education, travel, music, movie, economy, election, basketball"
        ),
        "drift": listed(
            "cricket, rugby, the climate, the strikes, the stock market, the royal family, space, formula one,"
            "the cup final, house prices, wildfires, the budget, gaming, cycling, the women's league, the euro,"
            "farming, electric cars, the oscars, tennis"
        ),
    },
    "dish": {
        "base": listed(
            "pancakes, chicken soup, lasagna, apple pie, chocolate cake, meat loaf, pizza, spaghetti, beef stew,"
            "banana bread, potato salad, fried rice, chili, tacos, roast chicken, omelette, mashed potatoes, cookies,"
            "cheesecake, onion soup, burgers, macaroni and cheese"
        ),
        "drift": listed(
            "shepherd's pie, jerk chicken, haggis, cullen skink, dal, masala dosa, toad in the hole, bubble and squeak,"
            "ratatouille, spaetzle, rice and peas, cranachan, yorkshire pudding, biryani, ramen, shakshuka,"
            "sticky toffee pudding, goulash, hot pot, flapjacks, quiche, bread pudding"
        ),
    },
}

BACKGROUND: Final = {
    "who": listed(
        "the minister, a spokesman, my sister, the referee, our neighbour, the captain, the professor, she, he,"
        "the company, the detective, everybody, nobody, the old man, the doctor"
    ),
    "what": listed(
        "said the bridge would open again, never came back that evening, had a wonderful time at the seaside,"
        "won the second half quite easily, could not believe the price, left the keys under the mat,"
        "has been married for thirty years, thinks the whole story is made up, went up by three points,"
        "was playing for a bigger crowd, called it the best show in years, turned the corner and was gone,"
        "asked for another cup of coffee, knew nothing about the money, wants to see the manager"
    ),
    "lead": listed(
        "and in other news, well i told you that, meanwhile, honestly, after the break, as you know, but then,"
        "according to the police, last summer, in the end, so apparently, ladies and gentlemen"
    ),
}
"""Parts of the sentences of television and conversation near the device."""
