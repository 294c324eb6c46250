"""The coarse type and the name of the commonest classes of Wikidata, as a table.

Knows direct classes (P31) only, not the tree above them. A class that is not here gives no type.
"""

from __future__ import annotations

from collections.abc import Iterable

TABLE = """
PER Q5 human
PER Q15632617 fictional human
PER Q95074 fictional character
PER Q15773347 film character
PER Q15773317 television character
PER Q3658341 literary character
PER Q1114461 comics character
PER Q1569167 video game character
PER Q4271324 mythical character
PER Q20643955 human biblical figure
PER Q178885 deity
ORG Q43229 organization
ORG Q4830453 business
ORG Q6881511 enterprise
ORG Q783794 company
ORG Q891723 public company
ORG Q1058914 software company
ORG Q18388277 technology company
ORG Q786820 automobile manufacturer
ORG Q1762059 film production company
ORG Q507619 retail chain
ORG Q1331793 media company
ORG Q210167 video game developer
ORG Q1137109 video game publisher
ORG Q2085381 publisher
ORG Q18127 record label
ORG Q46970 airline
ORG Q22687 bank
ORG Q11691 stock exchange
ORG Q163740 nonprofit organization
ORG Q79913 non-governmental organization
ORG Q484652 international organization
ORG Q245065 intergovernmental organization
ORG Q157031 foundation
ORG Q178790 trade union
ORG Q48204 voluntary association
ORG Q178706 institution
ORG Q327333 government agency
ORG Q192350 ministry
ORG Q35749 parliament
ORG Q11204 legislature
ORG Q7278 political party
ORG Q176799 military unit
ORG Q3918 university
ORG Q875538 public university
ORG Q902104 private university
ORG Q38723 higher education institution
ORG Q189004 college
ORG Q3914 school
ORG Q9826 high school
ORG Q31855 research institute
ORG Q33506 museum
ORG Q16917 hospital
ORG Q4438121 sports organization
ORG Q847017 sports club
ORG Q12973014 sports team
ORG Q1194951 national sports team
ORG Q476028 association football club
ORG Q6979593 national association football team
ORG Q13393265 basketball team
ORG Q13027888 baseball team
ORG Q17156793 American football team
ORG Q4498974 ice hockey team
ORG Q623109 sports league
ORG Q15991290 professional sports league
ORG Q215380 band
ORG Q5741069 rock band
ORG Q2088357 musical ensemble
ORG Q15265344 broadcaster
ORG Q1616075 television station
ORG Q14350 radio station
ORG Q11032 newspaper
ORG Q1110794 daily newspaper
LOC Q6256 country
LOC Q3624078 sovereign state
LOC Q7275 state
LOC Q3024240 historical country
LOC Q161243 dependent territory
LOC Q56061 administrative territorial entity
LOC Q10864048 first-level administrative division
LOC Q35657 U.S. state
LOC Q34876 province
LOC Q28575 county
LOC Q47168 county of the United States
LOC Q149621 district
LOC Q15284 municipality
LOC Q262166 municipality of Germany
LOC Q484170 commune of France
LOC Q747074 comune of Italy
LOC Q2074737 municipality of Spain
LOC Q1115575 civil parish
LOC Q515 city
LOC Q1549591 big city
LOC Q5119 capital
LOC Q1093829 city in the United States
LOC Q15127012 town in the United States
LOC Q1907114 metropolitan area
LOC Q3957 town
LOC Q532 village
LOC Q486972 human settlement
LOC Q498162 census-designated place
LOC Q17343829 unincorporated community
LOC Q123705 neighborhood
LOC Q188509 suburb
LOC Q82794 geographic region
LOC Q1620908 historical region
LOC Q5107 continent
LOC Q23442 island
LOC Q33837 archipelago
LOC Q34763 peninsula
LOC Q4022 river
LOC Q23397 lake
LOC Q165 sea
LOC Q9430 ocean
LOC Q39594 bay
LOC Q40080 beach
LOC Q34038 waterfall
LOC Q12284 canal
LOC Q12323 dam
LOC Q8502 mountain
LOC Q46831 mountain range
LOC Q8072 volcano
LOC Q39816 valley
LOC Q35509 cave
LOC Q35666 glacier
LOC Q8514 desert
LOC Q4421 forest
LOC Q46169 national park
LOC Q179049 nature reserve
LOC Q22698 park
LOC Q1248784 airport
LOC Q55488 railway station
LOC Q928830 metro station
LOC Q79007 street
LOC Q34442 road
LOC Q12280 bridge
LOC Q41176 building
LOC Q811979 architectural structure
LOC Q16970 church building
LOC Q23413 castle
LOC Q39715 lighthouse
LOC Q483110 stadium
LOC Q1076486 sports venue
LOC Q839954 archaeological site
LOC Q634 planet
LOC Q3863 asteroid
LOC Q523 star
LOC Q318 galaxy
MISC Q11424 film
MISC Q5398426 television series
MISC Q15416 television program
MISC Q21191270 television series episode
MISC Q482994 album
MISC Q134556 single
MISC Q7366 song
MISC Q105543609 musical work
MISC Q188451 music genre
MISC Q7725634 literary work
MISC Q47461344 written work
MISC Q571 book
MISC Q8261 novel
MISC Q25379 play
MISC Q1344 opera
MISC Q3305213 painting
MISC Q860861 sculpture
MISC Q41298 magazine
MISC Q5633421 scientific journal
MISC Q35127 website
MISC Q7397 software
MISC Q7889 video game
MISC Q131436 board game
MISC Q9143 programming language
MISC Q34770 language
MISC Q41710 ethnic group
MISC Q9174 religion
MISC Q16521 taxon
MISC Q7187 gene
MISC Q8054 protein
MISC Q11173 chemical compound
MISC Q12140 medication
MISC Q12136 disease
MISC Q198 war
MISC Q178561 battle
MISC Q131569 treaty
MISC Q820655 statute
MISC Q40231 election
MISC Q1656682 event
MISC Q132241 festival
MISC Q18608583 recurring sporting event
MISC Q27020041 sports season
MISC Q500834 tournament
MISC Q349 sport
MISC Q618779 award
MISC Q431289 brand
MISC Q3231690 automobile model
MISC Q15056993 aircraft family
MISC Q11446 ship
MISC Q728 weapon
"""
CLASSES = {row[1]: (row[0], row[2]) for row in (line.split(maxsplit=2) for line in TABLE.split("\n") if line)}


def types_of(classes: Iterable[str]) -> tuple[str, ...]:
    """The coarse type (PER, ORG, LOC, MISC) of the first known class, then the names of all of that type."""
    known = [CLASSES[name] for name in classes if name in CLASSES]
    if not known:
        return ()
    coarse = known[0][0]
    return coarse, *dict.fromkeys(name for kind, name in known if kind == coarse)
